package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"muster/allocator"
	"muster/geo"
)

// postcodesDir is where `import postcodes` puts files, within --data.
const postcodesDir = "postcodes"

// postcodes adapts geo to the allocator's port.
type postcodes struct{ *geo.Postcodes }

func (p postcodes) Locate(text string) (canonical string, lat, lon float64, precision string, ok bool) {
	located, err := p.Lookup(text)
	if err != nil {
		return "", 0, 0, "", false
	}
	return located.Postcode, located.Point.Lat, located.Point.Lon, located.Precision.String(), true
}

// loadPostcodes reads the embedded postcodes and those that were imported into the data folder; later files, by name, win.
func loadPostcodes(data string) (postcodes, error) {
	known, err := geo.EmbeddedPostcodes()
	if err != nil {
		return postcodes{}, fmt.Errorf("the embedded postcodes: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(data, postcodesDir, "*.csv"))
	if err != nil {
		return postcodes{}, fmt.Errorf("the data folder's name cannot be searched: %w", err)
	}
	slices.Sort(files)
	var overlays []*geo.Overlay
	for _, name := range files {
		overlay, err := readOverlay(name)
		if err != nil {
			return postcodes{}, err
		}
		overlays = append(overlays, overlay)
	}
	return postcodes{known.With(overlays...)}, nil
}

func readOverlay(name string) (*geo.Overlay, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("added postcodes: %w", err)
	}
	defer file.Close()
	overlay, _, err := geo.LoadPostcodes(file) // its lines were told of when it was imported
	if err != nil {
		return nil, fmt.Errorf("added postcodes: %s: %w", name, err)
	}
	return overlay, nil
}

// nearest adapts geo to the allocator's port.
type nearest struct{}

// Index leaves out points that are not on the earth; the allocator refuses such sites, so there are none.
func (nearest) Index(lats, lons []float64) allocator.NearestIndex {
	places := make([]geo.Place, 0, len(lats))
	for i := range lats {
		point := geo.Point{Lat: lats[i], Lon: lons[i]}
		if point.Validate() == nil {
			places = append(places, geo.Place{Position: int32(i), Point: point})
		}
	}
	index, err := geo.NewIndex(places)
	if err != nil {
		panic(errors.Join(errors.New("more sites than an index holds"), err))
	}
	return nearestIndex{index}
}

type nearestIndex struct{ index *geo.Index }

func (n nearestIndex) Visit(lat, lon, radiusMetres float64, visit func(position int, distanceMetres float64) bool) {
	n.index.Nearest(geo.Point{Lat: lat, Lon: lon}, radiusMetres, func(position int32, distance float64) bool {
		return visit(int(position), distance)
	})
}

func (n nearestIndex) Marks() allocator.PointMarks { return marks{n.index.Marks()} }

type marks struct{ *geo.Marks }

func (m marks) Set(position int) { m.Marks.Set(int32(position)) }

func (m marks) Unset(position int) { m.Marks.Unset(int32(position)) }

func (m marks) Nearest(lat, lon, radiusMetres float64, k int, dst []allocator.PointFound) []allocator.PointFound {
	var room [64]geo.Neighbour // as long as no more are asked for, nothing is allocated
	for _, n := range m.NearestK(geo.Point{Lat: lat, Lon: lon}, radiusMetres, k, room[:0]) {
		dst = append(dst, allocator.PointFound{Position: int(n.Position), DistanceMetres: n.DistanceMetres})
	}
	return dst
}
