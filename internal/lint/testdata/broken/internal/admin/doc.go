// Package admin has no header.
package admin
