//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package sqliteledger

import "os"

// lockFile only opens the file: SQLite's own locks keep two servers from corrupting the ledger, though not from trying.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}
