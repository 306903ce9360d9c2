package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"

	"muster/allocator"
	"muster/api/worklist"
)

type freeCapacityView struct {
	AsOf  string       `json:"asOf"`
	AgeMs int64        `json:"ageMs"`
	From  string       `json:"from"`
	To    string       `json:"to"`
	Rows  []weekOfArea `json:"rows"`
}

type weekOfArea struct {
	Area    string                `json:"area"`
	Service allocator.ServiceCode `json:"service"`
	Week    string                `json:"week"`
	Sites   int                   `json:"sites"`
	Open    int                   `json:"open"`
	Places  int                   `json:"places"`
	Booked  int                   `json:"booked"`
	Free    int                   `json:"free"`
}

func (s *Server) getFreeCapacity(ctx context.Context, x *exchange) (reply, error) {
	q := x.query("service", "by", "from", "to", "format")
	req := allocator.FreeCapacityRequest{
		Service: q.service(optional),
		By:      allocator.Area(q.choice("by", string(allocator.AreaRegion), string(allocator.AreaICB), string(allocator.AreaSite))),
	}
	req.From, req.To = q.dates()
	form := q.choice("format", "json", "csv", "ndjson")
	if err := q.d.fail(); err != nil {
		return reply{}, err
	}
	found, err := s.engine.FreeCapacity(ctx, req)
	if err != nil {
		return reply{}, err
	}
	view := freeCapacityView{
		AsOf: moment(found.AsOf), AgeMs: found.Age.Milliseconds(), From: found.From.String(), To: found.To.String(),
		Rows: make([]weekOfArea, len(found.Rows)),
	}
	for i, r := range found.Rows {
		view.Rows[i] = weekOfArea{r.Area, r.Service, r.Week.String(), r.Sites, r.Open, r.Places, r.Booked, r.Free}
	}
	switch form {
	case "csv":
		return reply{content: view.csv(), contentType: "text/csv; charset=utf-8; header=present"}, nil
	case "ndjson":
		content, err := jsonLines(view.Rows)
		return reply{content: content, contentType: ndjson}, err
	}
	return reply{body: view}, nil
}

func (v *freeCapacityView) csv() []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"area", "service", "week", "sites", "open", "places", "booked", "free", "asOf"}) // a buffer takes everything
	for _, r := range v.Rows {
		_ = w.Write([]string{
			worklist.Inert(r.Area), string(r.Service), r.Week, itoa(r.Sites), itoa(r.Open), itoa(r.Places), itoa(r.Booked), itoa(r.Free), v.AsOf,
		})
	}
	w.Flush()
	return b.Bytes()
}

const ndjson = "application/x-ndjson"

// jsonLines writes each item as a line of JSON.
func jsonLines[T any](items []T) ([]byte, error) {
	b := bytes.NewBuffer([]byte{})
	e := json.NewEncoder(b)
	for i := range items {
		if err := e.Encode(&items[i]); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
