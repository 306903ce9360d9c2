package api

import (
	"encoding/json"
	"strconv"

	"muster/allocator"
)

// The replies of a surge, to holds and confirms and to those who are refused, are written by hand; all others by encoding/json. Both write the same: a
// test compares them for whatever the views may hold.

// encoder is a view that writes itself.
type encoder interface {
	appendJSON(b []byte) ([]byte, error)
}

// member begins an object's next member.
func member(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

func textMember[T ~string](b []byte, name string, text T) []byte {
	return allocator.AppendJSON(member(b, name), string(text))
}

// someText leaves the member out where it is empty.
func someText[T ~string](b []byte, name string, text T) []byte {
	if text == "" {
		return b
	}
	return textMember(b, name, text)
}

func numberMember[T ~int | ~int16](b []byte, name string, n T) []byte {
	return strconv.AppendInt(member(b, name), int64(n), 10)
}

// listMember writes a list; null where there is none, as encoding/json does.
func listMember[T any](b []byte, name string, items []T, write func([]byte, *T) ([]byte, error)) (_ []byte, err error) {
	b = member(b, name)
	if items == nil {
		return append(b, "null"...), nil
	}
	b = append(b, '[')
	for i := range items {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = write(b, &items[i]); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

func (v *holdView) appendJSON(b []byte) ([]byte, error) {
	b = textMember(append(b, '{'), "holdId", v.HoldID)
	b = someText(b, "state", v.State)
	b = textMember(b, "expiresAt", v.ExpiresAt)
	b = textMember(b, "serverTime", v.ServerTime)
	b, err := listMember(b, "claims", v.Claims, appendClaim)
	return append(b, '}'), err
}

func appendClaim(b []byte, v *claimView) ([]byte, error) {
	b = textMember(append(b, '{'), "siteId", v.SiteID)
	b = textMember(b, "service", v.Service)
	b = textMember(b, "start", v.Start)
	return append(numberMember(b, "length", v.Length), '}'), nil
}

// bookingsView is the reply to a confirm.
type bookingsView struct {
	Bookings []bookingView `json:"bookings"`
}

func (v *bookingsView) appendJSON(b []byte) ([]byte, error) {
	b, err := listMember(append(b, '{'), "bookings", v.Bookings, appendBooking)
	return append(b, '}'), err
}

func appendBooking(b []byte, v *bookingView) ([]byte, error) {
	b = textMember(append(b, '{'), "reference", v.Reference)
	b = someText(b, "manageToken", v.ManageToken)
	b = textMember(b, "status", v.Status)
	b = textMember(b, "siteId", v.SiteID)
	b = someText(b, "siteName", v.SiteName)
	b = textMember(b, "service", v.Service)
	b = textMember(b, "start", v.Start)
	b = numberMember(b, "length", v.Length)
	if v.Unsupported {
		b = append(member(b, "unsupported"), "true"...)
	}
	b = someText(b, "reason", v.Reason)
	b = someText(b, "replacedBy", v.ReplacedBy)
	if v.Person != nil {
		person, err := json.Marshal(v.Person)
		if err != nil {
			return b, err
		}
		b = append(member(b, "person"), person...)
	}
	return append(b, '}'), nil
}

// resultsView is the reply to a batch.
type resultsView struct {
	Results []itemView `json:"results"`
}

func (v *resultsView) appendJSON(b []byte) ([]byte, error) {
	b, err := listMember(append(b, '{'), "results", v.Results, appendItem)
	return append(b, '}'), err
}

func appendItem(b []byte, v *itemView) (_ []byte, err error) {
	b = numberMember(append(b, '{'), "status", v.Status)
	if v.RetryAfter != 0 {
		b = numberMember(b, "retryAfter", v.RetryAfter)
	}
	if v.Hold != nil {
		if b, err = v.Hold.appendJSON(member(b, "hold")); err != nil {
			return b, err
		}
	}
	if len(v.Bookings) > 0 {
		if b, err = listMember(b, "bookings", v.Bookings, appendBooking); err != nil {
			return b, err
		}
	}
	if v.Problem != nil {
		if b, err = v.Problem.appendJSON(member(b, "problem")); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

func (p *problem) appendJSON(b []byte) (_ []byte, err error) {
	b = textMember(append(b, '{'), "type", p.Type)
	b = textMember(b, "title", p.Title)
	b = numberMember(b, "status", p.Status)
	b = someText(b, "detail", p.Detail)
	b = someText(b, "instance", p.Instance)
	b = textMember(b, "code", p.Code)
	if len(p.Errors) > 0 {
		if b, err = listMember(b, "errors", p.Errors, appendFault); err != nil {
			return b, err
		}
	}
	if len(p.Alternatives) > 0 {
		if b, err = listMember(b, "alternatives", p.Alternatives, appendAlternative); err != nil {
			return b, err
		}
	}
	if p.Current != nil {
		current, err := json.Marshal(p.Current)
		if err != nil {
			return b, err
		}
		b = append(member(b, "current"), current...)
	}
	return append(b, '}'), nil
}

func appendFault(b []byte, v *faultView) ([]byte, error) {
	b = textMember(append(b, '{'), "pointer", v.Pointer)
	return append(textMember(b, "detail", v.Detail), '}'), nil
}

func appendAlternative(b []byte, v *alternativeView) ([]byte, error) {
	b = textMember(append(b, '{'), "siteId", v.SiteID)
	b = textMember(b, "name", v.Name)
	b = someText(b, "service", v.Service)
	b = numberMember(b, "distanceMetres", v.DistanceMetres)
	b = textMember(b, "start", v.Start)
	b = numberMember(b, "length", v.Length)
	return append(numberMember(b, "free", v.Free), '}'), nil
}
