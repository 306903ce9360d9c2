// Command postcodegen makes the file of postcodes that package geo embeds:
//
//	go run ./geo/internal/postcodegen -o geo/postcodes.bin postcodes.tar.xz
//
// The archive holds a CSV file (postcode, latitude, longitude) for each
// postcode area. Those of Northern Ireland are left out: their licence does
// not allow commercial use.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"muster/geo"
	"muster/geo/internal/postcodetar"
)

// northernIreland is the area that must not be embedded.
const northernIreland = "BT"

func main() {
	output := flag.String("o", "postcodes.bin", "the file to write")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: postcodegen [-o postcodes.bin] postcodes.tar[.xz]")
		os.Exit(2)
	}
	if err := generate(flag.Arg(0), *output); err != nil {
		fmt.Fprintln(os.Stderr, "postcodegen:", err)
		os.Exit(1)
	}
}

func generate(archive, output string) error {
	var overlays []*geo.Overlay
	var total geo.LoadReport
	err := postcodetar.Walk(archive, func(area string, csv io.Reader) error {
		if area == northernIreland {
			return nil
		}
		overlay, report, err := geo.LoadPostcodes(csv)
		if err != nil {
			return err
		}
		if report.Rejected > 0 {
			return fmt.Errorf("%d lines rejected, the first: %w", report.Rejected, report.Errors[0])
		}
		overlays = append(overlays, overlay)
		total.Loaded += report.Loaded
		total.WithoutCoordinates += report.WithoutCoordinates
		return nil
	})
	if err != nil {
		return err
	}
	postcodes := new(geo.Postcodes).With(overlays...)
	size, err := write(postcodes, output)
	if err != nil {
		return err
	}
	fmt.Printf("%d areas, %d lines, %d without coordinates skipped: %d postcodes, %d bytes (%.2f each)\n",
		len(overlays), total.Loaded+total.WithoutCoordinates, total.WithoutCoordinates,
		postcodes.Len(), size, float64(size)/float64(max(1, postcodes.Len())))
	return nil
}

// write replaces the file only when the new one is complete.
func write(postcodes *geo.Postcodes, output string) (int64, error) {
	file, err := os.CreateTemp(filepath.Dir(output), ".postcodes-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name()) // gone already when all went well
	size, err := postcodes.WriteTo(file)
	if err := errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return size, err
	}
	return size, os.Rename(file.Name(), output)
}
