module example.com/broken/test/interop
