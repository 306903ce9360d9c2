// Package worklist writes a site's day as the desk needs it: as a spreadsheet, as a page to print, and as a signed snapshot
// that anyone with the public key can check, read and print when no server answers.
//
// A worklist is personal data throughout. Its functions touch nothing outside and are safe for concurrent use.
package worklist

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Day is a site's day as of one instant.
type Day struct {
	SiteID   string    `json:"siteId"`
	SiteName string    `json:"siteName"`
	Date     string    `json:"date"` // of the site
	TimeZone string    `json:"timeZone"`
	AsOf     time.Time `json:"asOf"` // UTC; what happened later is not in it
	Rows     []Row     `json:"bookings"`
}

// Row is one booking, in the order of the day. Times are the site's own.
type Row struct {
	Start       string `json:"start"` // RFC 3339 with the site's offset
	Length      int    `json:"length"`
	Service     string `json:"service"`
	Reference   string `json:"reference"`
	Status      string `json:"status"`
	Unsupported bool   `json:"unsupported,omitempty"`
	GivenName   string `json:"givenName,omitempty"`
	FamilyName  string `json:"familyName,omitempty"`
	DateOfBirth string `json:"dateOfBirth,omitempty"`
	NHSNumber   string `json:"nhsNumber,omitempty"`
	Email       string `json:"email,omitempty"`
	Phone       string `json:"phone,omitempty"`
	Landline    string `json:"landline,omitempty"`
}

// Time is when the booking starts, HH:MM on the site's clock.
func (r *Row) Time() string {
	if len(r.Start) < len("2006-01-02T15:04") {
		return r.Start
	}
	return r.Start[len("2006-01-02T"):len("2006-01-02T15:04")]
}

// Spaced is the NHS number as it is read aloud: 3 3 4.
func (r *Row) Spaced() string {
	if len(r.NHSNumber) != 10 {
		return r.NHSNumber
	}
	return r.NHSNumber[:3] + " " + r.NHSNumber[3:6] + " " + r.NHSNumber[6:]
}

// FileName is a name for the day's file, without personal data.
func (d *Day) FileName(extension string) string {
	return fmt.Sprintf("worklist-%s-%s.%s", d.SiteID, d.Date, extension)
}

var columns = []string{
	"time", "length", "service", "status", "reference", "familyName", "givenName", "dateOfBirth", "nhsNumber", "phone",
	"landline", "email", "unsupported", "asOf",
}

// CSV is the day as RFC 4180 has it, in UTF-8 with a byte order mark, which spreadsheets need to read names rightly. Cells
// that a spreadsheet would take for a formula begin with an apostrophe.
func (d *Day) CSV() []byte {
	var b bytes.Buffer
	b.WriteString("\ufeff")
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	_ = w.Write(columns) // a buffer takes everything
	for i := range d.Rows {
		r := &d.Rows[i]
		cells := []string{
			r.Time(), strconv.Itoa(r.Length), r.Service, r.Status, r.Reference, r.FamilyName, r.GivenName, r.DateOfBirth, r.NHSNumber,
			r.Phone, r.Landline, r.Email, strconv.FormatBool(r.Unsupported), d.AsOf.UTC().Format(time.RFC3339),
		}
		for i := range cells {
			cells[i] = Inert(cells[i])
		}
		_ = w.Write(cells)
	}
	w.Flush()
	return b.Bytes()
}

// Inert keeps a spreadsheet from computing what a person typed (OWASP: CSV injection). Telephone numbers with their plus are
// no formulas.
func Inert(cell string) string {
	if cell == "" || !strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return cell
	}
	if cell[0] == '+' && strings.Trim(cell[1:], "0123456789 ") == "" {
		return cell
	}
	return "'" + cell
}
