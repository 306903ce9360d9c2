package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"muster/loadtest/result"
)

// The part of the earth that is shown, in degrees, and the picture's width.
const (
	north, south, west, east = 55.9, 49.85, -5.9, 1.9
	mapWide                  = 560.0
)

var (
	narrowing = math.Cos(53 * math.Pi / 180) // of a degree of longitude
	perDegree = mapWide / ((east - west) * narrowing)
	mapHigh   = (north - south) * perDegree
)

func project(lat, lon float64) (x, y float64, shown bool) {
	return (lon - west) * narrowing * perDegree, (north - lat) * perDegree, lat > south && lat < north && lon > west && lon < east
}

// dots is a path of points: each is a line of no length with a round end, which is the shortest way to write a dot.
func dots(points [][2]float64) string {
	var b strings.Builder
	for _, p := range points {
		if x, y, shown := project(p[0], p[1]); shown {
			fmt.Fprintf(&b, "M%.1f %.1fh0", x, y)
		}
	}
	return b.String()
}

// The colours of supply, by how much of it is taken: the last for all of it.
var fullness = []string{"#cfe3f5", "#8cbbe4", "#4a90cf", "#1d70b8", "#0b3d6b"}

func colourOf(s result.Supply) string {
	if s.Places <= 0 {
		return fullness[2]
	}
	share := float64(s.Booked) / float64(s.Places)
	switch {
	case share >= 0.995:
		return fullness[4]
	case share >= 0.75:
		return fullness[3]
	case share >= 0.5:
		return fullness[2]
	case share >= 0.25:
		return fullness[1]
	}
	return fullness[0]
}

// drawMap shows where people live (a point each), where places are (a disc each, as large as the site) and the land, drawn by
// where there are postcodes.
func drawMap(m *result.Map, land [][2]float64) template.HTML {
	var served, unserved [][2]float64
	for _, home := range m.Demand {
		if at := [2]float64{home.Lat, home.Lon}; home.Served {
			served = append(served, at)
		} else {
			unserved = append(unserved, at)
		}
	}
	sites := slices.Clone(m.Supply)
	size := func(s *result.Supply) int { return max(s.Places, s.Booked) }
	slices.SortFunc(sites, func(a, b result.Supply) int { return cmp.Or(size(&b)-size(&a), cmp.Compare(a.Site, b.Site)) })
	largest := 1
	if len(sites) > 0 {
		largest = max(1, size(&sites[0]))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="map" viewBox="0 0 %g %.0f" role="img" aria-labelledby="map-t map-d"><title id="map-t">Where people live and where places are</title>`, mapWide, mapHigh)
	fmt.Fprintf(&b, `<desc id="map-d">A map of England with %d of the people who came, and %d sites. The table below it lists the largest sites.</desc>`, len(m.Demand), len(sites))
	fmt.Fprintf(&b, `<path d="%s" class="land"/>`, dots(land))
	fmt.Fprintf(&b, `<path d="%s" class="unserved"/><path d="%s" class="served"/>`, dots(unserved), dots(served))
	for i := range sites {
		s := &sites[i]
		x, y, shown := project(s.Lat, s.Lon)
		if !shown {
			continue
		}
		radius := 2 + 10*math.Sqrt(float64(max(0, size(s)))/float64(largest))
		if len(sites) > 400 {
			radius *= 0.6
		}
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s"><title>%s: %d booked%s</title></circle>`, x, y, radius, colourOf(*s),
			template.HTMLEscapeString(s.Name), s.Booked, placesOf(s))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

func placesOf(s *result.Supply) string {
	if s.Places > 0 {
		return fmt.Sprintf(" of %d places", s.Places)
	}
	return ""
}

// mapTable lists the largest sites.
func mapTable(m *result.Map) tableView {
	t := tableView{Caption: "The sites with the most bookings", Head: []string{"Site", "Booked", "Places"}}
	sites := slices.Clone(m.Supply)
	slices.SortFunc(sites, func(a, b result.Supply) int { return cmp.Or(b.Booked-a.Booked, cmp.Compare(a.Site, b.Site)) })
	for _, s := range sites[:min(12, len(sites))] {
		places := "not known"
		if s.Places > 0 {
			places = number(s.Places)
		}
		t.Rows = append(t.Rows, []string{s.Name, number(s.Booked), places})
	}
	return t
}
