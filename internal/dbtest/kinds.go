// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package dbtest

import (
	"fmt"
	"path/filepath"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

var postgresKind = kind{
	name: "PostgreSQL", pkg: "postgresql", program: "postgres", where: "/usr/lib/postgresql/*/bin", driver: "pgx",
	commands: func(program, dir string, port int) (prepare, serve []string) {
		data := filepath.Join(dir, "data")
		prepare = []string{
			filepath.Join(filepath.Dir(program), "initdb"), "--pgdata", data, "--username", "test", "--auth", "trust",
			"--no-sync", "--no-locale", "--encoding", "UTF8",
		}
		serve = []string{program, "-D", data, "-p", fmt.Sprint(port)}
		for _, kv := range []string{
			"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=400",
			"fsync=off", "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal", "max_wal_senders=0",
			"shared_buffers=16MB", "dynamic_shared_memory_type=mmap",
		} {
			serve = append(serve, "-c", kv)
		}
		return prepare, serve
	},
	signal: "QUIT", // it ends its children and returns what it has of the system; KILL leaves a shared memory segment
	dsn:    postgresURL, url: postgresURL,
	admin: "postgres", create: "CREATE DATABASE %s",
}

func postgresURL(port int, name string) string {
	return fmt.Sprintf("postgres://test@127.0.0.1:%d/%s?sslmode=disable", port, name)
}

// The server starts in an empty directory, without the system tables that
// mariadb-install-db makes: they hold users and grants, which nothing here needs.
var mariadbKind = kind{
	name: "MariaDB", pkg: "mariadb-server-core", program: "mariadbd", where: "/usr/sbin", driver: "mysql",
	commands: func(program, dir string, port int) (prepare, serve []string) {
		data := filepath.Join(dir, "data")
		return []string{"mkdir", data}, []string{
			program, "--no-defaults", "--datadir=" + data, "--tmpdir=" + dir, "--secure-file-priv=" + dir,
			"--bind-address=127.0.0.1", fmt.Sprint("--port=", port), "--socket=" + filepath.Join(dir, "socket"),
			"--pid-file=" + filepath.Join(dir, "pid"), "--max-connections=400", "--character-set-server=utf8mb4",
			"--skip-grant-tables", "--innodb-stats-persistent=0", // nor are there tables for statistics
			"--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite",
			"--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M",
		}
	},
	signal: "KILL",
	dsn:    func(port int, name string) string { return fmt.Sprintf("root@tcp(127.0.0.1:%d)/%s", port, name) },
	url:    func(port int, name string) string { return fmt.Sprintf("mysql://root@127.0.0.1:%d/%s", port, name) },
	create: "CREATE DATABASE %s",
}
