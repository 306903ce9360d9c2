package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oasdiff/yaml"
)

// document is a profile as people write it, in YAML or JSON.
type document struct {
	Name    string              `json:"name"`
	Title   string              `json:"title"`
	Source  string              `json:"source"`
	Like    string              `json:"like"`   // a named profile to begin with
	People  float64             `json:"people"` // in all; the form stays
	Start   float64             `json:"start"`  // arrivals a second at the beginning
	Stages  []stage             `json:"stages"`
	Mix     map[Journey]float64 `json:"mix"`
	Bell    duration            `json:"bell"`
	Ages    []int               `json:"ages"`
	Places  *float64            `json:"places"`
	Sites   int                 `json:"sites"`
	Hook    bool                `json:"hook"`
	Scale   float64             `json:"scale"`
	ByRates *bool               `json:"rates"`
}

// stage goes to a rate in a straight line.
type stage struct {
	For duration `json:"for"`
	To  *float64 `json:"to"` // arrivals a second at the end; missing: as at the beginning
	At  *float64 `json:"at"` // arrivals a second from the beginning to the end
}

type duration time.Duration

func (d *duration) UnmarshalJSON(text []byte) error {
	var written string
	if err := json.Unmarshal(text, &written); err != nil {
		return fmt.Errorf("%s is no length of time such as \"90s\" or \"1h30m\"", text)
	}
	parsed, err := time.ParseDuration(written)
	if err == nil && parsed < 0 {
		err = fmt.Errorf("%v is negative", parsed)
	}
	*d = duration(parsed)
	return err
}

// Parse reads a profile of YAML or JSON: `stages` (each `for: 30s` and `to:` or `at:` arrivals a second), `mix`, or `like` with
// a named profile to begin with. What is written is for the whole; a run takes the share `scale` of it, 1 if missing.
func Parse(text []byte) (Profile, error) {
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return Profile{}, fmt.Errorf("the profile is neither YAML nor JSON: %w", err)
	}
	var d document
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return Profile{}, fmt.Errorf("the profile: %w", err)
	}
	p, err := d.base()
	if err == nil {
		err = d.refine(&p)
	}
	return p, err
}

func (d *document) base() (Profile, error) {
	p := Profile{Mix: bookers(), Oldest: 90, Places: 1.2, Scale: 1, Rates: true}
	if d.Like != "" {
		var err error
		if p, err = Named(d.Like); err != nil {
			return p, err
		}
	}
	if len(d.Stages) == 0 {
		if d.Like == "" {
			return p, errors.New("a profile needs `stages`, or `like` with a named profile to begin with")
		}
		return p, nil
	}
	p.Bell = 0
	at := Point{0, d.Start}
	points := []Point{at}
	for i, s := range d.Stages {
		if s.At != nil && s.To != nil {
			return p, fmt.Errorf("stage %d has both `at` and `to`: which is it?", i+1)
		}
		if s.At != nil {
			at.Rate = *s.At
			points = append(points, at)
		}
		at.At += time.Duration(s.For)
		if s.To != nil {
			at.Rate = *s.To
		}
		points = append(points, at)
	}
	curve, err := NewCurve(points...)
	p.Curve = curve
	return p, err
}

func (d *document) refine(p *Profile) error {
	if d.People > 0 {
		scaled, err := p.Curve.Scaled(d.People / p.Curve.People())
		if err != nil {
			return err
		}
		p.Curve = scaled
	}
	text(&p.Name, d.Name)
	text(&p.Source, d.Source)
	text(&p.Title, d.Name)
	text(&p.Title, d.Title)
	if p.Name == "" {
		p.Name = "custom"
	}
	if p.Title == "" {
		p.Title = p.Name
	}
	if d.Mix != nil {
		p.Mix = d.Mix
	}
	if d.Bell > 0 {
		p.Bell = time.Duration(d.Bell)
	}
	if d.Places != nil {
		p.Places = *d.Places
	}
	if d.Sites > 0 {
		p.Sites = d.Sites
	}
	if d.Scale > 0 {
		p.Scale = d.Scale
	}
	if d.ByRates != nil {
		p.Rates = *d.ByRates
	}
	p.Hook = p.Hook || d.Hook
	return d.check(p)
}

func (d *document) check(p *Profile) error {
	if len(d.Ages) > 0 {
		if len(d.Ages) != 2 || d.Ages[0] < 0 || d.Ages[1] < d.Ages[0] || d.Ages[1] > 90 {
			return errors.New("`ages` are two: the youngest and the oldest, at most 90")
		}
		p.Youngest, p.Oldest = d.Ages[0], d.Ages[1]
	}
	switch {
	case !(p.Places > 0):
		return fmt.Errorf("`places` for each person are %v: there must be some", p.Places)
	case d.Sites < 0 || d.Scale < 0 || d.People < 0:
		return errors.New("`sites`, `scale` and `people` are not negative")
	case p.Bell > p.Curve.Length():
		return fmt.Errorf("the bell rings at %v, after the end at %v", p.Bell, p.Curve.Length())
	}
	return p.Mix.Validate()
}

func text(field *string, value string) {
	if value != "" {
		*field = value
	}
}
