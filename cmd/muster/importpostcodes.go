package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"muster/cmd/muster/bulk"
	"muster/geo"
)

type importPostcodesCommand struct {
	Data  string   `default:"./data" type:"path" placeholder:"DIR" help:"Folder that the server loads added postcodes from when it starts."`
	Files []string `arg:"" name:"file" type:"path" help:"CSV files with a postcode, a latitude and a longitude in each line. A file of the same name replaces an earlier one."`
}

// Run checks files and puts them where serve finds them. A file is taken as a whole, or not at all; lines of it that are
// no postcodes are told, and skipped by serve too.
func (c *importPostcodesCommand) Run(p *program) error {
	folder := filepath.Join(c.Data, postcodesDir)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	refused := 0
	for i, name := range c.Files {
		if p.ctx.Err() != nil {
			return fmt.Errorf("%w: %d of %d files are loaded; go on with %s", bulk.ErrInterrupted, i, len(c.Files), name)
		}
		n, err := importPostcodes(name, folder, p.stdout, p.stderr)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		refused += n
	}
	fmt.Fprintln(p.stdout, "a server that is running takes them when it starts again")
	if refused > 0 {
		return fmt.Errorf("%w: %d", bulk.ErrLinesFailed, refused)
	}
	return nil
}

// importPostcodes copies one file while it is read, and keeps the copy only when it could be read to its end.
func importPostcodes(name, folder string, out, messages io.Writer) (refused int, err error) {
	source, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer source.Close()
	copied, err := os.CreateTemp(folder, ".incoming-*")
	if err != nil {
		return 0, err
	}
	_, report, err := geo.LoadPostcodes(io.TeeReader(source, copied))
	if err == nil {
		err = copied.Sync()
	}
	err = errors.Join(err, copied.Close())
	if err == nil && report.Loaded == 0 {
		err = errors.New("holds no postcode with a place")
	}
	for _, fault := range report.Errors {
		fmt.Fprintf(messages, "%s, %v\n", name, fault)
	}
	if err == nil {
		err = os.Rename(copied.Name(), filepath.Join(folder, strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))+".csv"))
	}
	if err != nil {
		return report.Rejected, errors.Join(err, os.Remove(copied.Name()))
	}
	fmt.Fprintf(out, "%s: %d postcodes loaded, %d have no place, %d lines failed\n", name, report.Loaded, report.WithoutCoordinates, report.Rejected)
	return report.Rejected, nil
}
