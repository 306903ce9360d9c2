package worklist

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"time"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

var page = template.Must(template.New("page").Parse(pageText))

// PagePolicy is the Content-Security-Policy of the page: nothing but its own style.
var PagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
}()

// Page is the day as HTML for A4 paper: one file without links, scripts or pictures, with boxes to tick by hand. zone is the
// site's, for the instant as of which it is true.
func (d *Day) Page(zone *time.Location) ([]byte, error) {
	live := 0
	for i := range d.Rows {
		if d.Rows[i].Status != "cancelled" {
			live++
		}
	}
	date := d.Date
	if day, err := time.Parse(time.DateOnly, d.Date); err == nil {
		date = day.Format("Monday 2 January 2006")
	}
	var b bytes.Buffer
	err := page.Execute(&b, struct {
		*Day
		Style template.CSS
		Long  string
		Known string
		Live  int
	}{d, template.CSS(pageStyle), date, d.AsOf.In(zone).Format("15:04 on 2 January 2006"), live})
	return b.Bytes(), err
}
