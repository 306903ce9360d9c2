// Package postcodetar reads the archive that the embedded postcodes are made
// from. Only the generator and tests need it.
package postcodetar

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
)

// Walk calls visit with the area ("LS") and the text of each CSV file in the
// archive at name, a tar file, or one compressed by xz if it ends in .xz (the
// xz program must then be installed). The reader is valid until visit returns.
// An error of visit ends the walk and is returned.
func Walk(name string, visit func(area string, csv io.Reader) error) error {
	archive, closeArchive, err := open(name)
	if err != nil {
		return err
	}
	walkErr := walk(archive, visit)
	if err := closeArchive(); walkErr == nil {
		return err
	}
	return walkErr
}

func open(name string) (io.Reader, func() error, error) {
	if !strings.HasSuffix(name, ".xz") {
		file, err := os.Open(name)
		if err != nil {
			return nil, nil, err
		}
		return file, file.Close, nil
	}
	xz := exec.Command("xz", "--decompress", "--stdout", "--", name)
	xz.Stderr = os.Stderr
	out, err := xz.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := xz.Start(); err != nil {
		return nil, nil, fmt.Errorf("starting xz: %w", err)
	}
	return out, func() error {
		// What the tar reader left must be drained, or xz dies of a broken pipe.
		if _, err := io.Copy(io.Discard, out); err != nil {
			return err
		}
		return xz.Wait()
	}, nil
}

func walk(archive io.Reader, visit func(string, io.Reader) error) error {
	files := tar.NewReader(archive)
	for {
		header, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the archive: %w", err)
		}
		area, isCSV := strings.CutSuffix(path.Base(header.Name), ".csv")
		if header.Typeflag != tar.TypeReg || !isCSV {
			continue
		}
		if err := visit(area, files); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}
