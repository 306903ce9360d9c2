package bulk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// checkpoint is how far a file was loaded into a ledger. It lies beside the file, as FILE.muster-resume, from the first
// batch until all is loaded.
type checkpoint struct {
	Target string `json:"target"` // the ledger, never with a password
	File   string `json:"file"`   // see identity
	Line   int    `json:"line"`   // all lines up to this one are done
	Failed int    `json:"failed"` // of these
}

func checkpointPath(file string) string { return file + ".muster-resume" }

// identity tells a file from another of its name, and from what it was before it was changed: loading all of it again is
// always right, going on in the middle only in the same file.
func identity(file *os.File, info fs.FileInfo) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, info.Size(), info.ModTime().UnixNano())
	if _, err := io.Copy(hash, io.NewSectionReader(file, 0, 4096)); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// readCheckpoint finds where an earlier run of the same file into the same ledger came to; the zero value where there was
// none.
func readCheckpoint(path, target, file string) checkpoint {
	fresh := checkpoint{Target: target, File: file}
	data, err := os.ReadFile(checkpointPath(path))
	if err != nil {
		return fresh
	}
	var found checkpoint
	if json.Unmarshal(data, &found) != nil || found.Target != target || found.File != file || found.Line < 0 || found.Failed < 0 {
		return fresh
	}
	return found
}

// write replaces the checkpoint as a whole.
func (c checkpoint) write(file string) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), ".muster-resume-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(append(data, '\n'))
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), checkpointPath(file))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}

// removeCheckpoint forgets an earlier run.
func removeCheckpoint(file string) error {
	err := os.Remove(checkpointPath(file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the file is loaded, but its checkpoint stays: %w", err)
	}
	return nil
}
