package validate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// dashboard is as much of Grafana's as there is to check.
type dashboard struct {
	UID        string `json:"uid"`
	Title      string `json:"title"`
	Templating struct {
		List []struct {
			Name  string `json:"name"`
			Type  string `json:"type"`
			Query any    `json:"query"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct {
		Defaults struct{ Unit string }
	} `json:"fieldConfig"`
	Targets []struct {
		RefID        string `json:"refId"`
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
		Datasource   struct{ Type, UID string }
	} `json:"targets"`
}

func dashboards(t testing.TB) map[string]dashboard {
	t.Helper()
	all := map[string]dashboard{}
	for _, path := range files(t, "grafana/dashboards", ".json") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(data, &d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[filepath.Base(path)] = d
	}
	return all
}

// Grafana's own variables are durations; a dashboard's are values of labels.
var variable = regexp.MustCompile(`\$(?:\{([a-z_]+)\}|([a-z_]+))`)

// plain puts something for each variable that the dashboard or Grafana knows.
func plain(t testing.TB, d dashboard, text string) string {
	own := map[string]bool{}
	for _, v := range d.Templating.List {
		own[v.Name] = true
	}
	return variable.ReplaceAllStringFunc(text, func(v string) string {
		name := strings.Trim(v, "${}")
		switch {
		case name == "__rate_interval", name == "__range", name == "__interval":
			return "5m"
		case own[name]:
			return "value"
		}
		t.Errorf("%s: %s is no variable", d.Title, v)
		return v
	})
}

var legendLabel = regexp.MustCompile(`\{\{([a-z_]+)\}\}`)

func TestDashboardsShowWhatIsCounted(t *testing.T) {
	c, panels := known(t), 0
	for file, d := range dashboards(t) {
		if d.UID+".json" != file {
			t.Errorf("%s has the uid %s: links need them to be the same", file, d.UID)
		}
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: two panels have the id %d", file, p.ID)
			}
			ids[p.ID] = true
			if p.Type == "row" {
				continue
			}
			panels++
			if len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" {
				t.Errorf("%s: %s shows nothing, or in no unit", file, p.Title)
			}
			for _, q := range p.Targets {
				expr := plain(t, d, q.Expr)
				for _, fault := range c.complaints(expr) {
					t.Errorf("%s: %s: %s", file, p.Title, fault)
				}
				if q.Datasource.Type != "prometheus" || q.Datasource.UID != "${source}" {
					t.Errorf("%s: %s asks %+v", file, p.Title, q.Datasource)
				}
				for _, l := range legendLabel.FindAllStringSubmatch(q.LegendFormat, -1) {
					if !strings.Contains(expr, l[1]) && l[1] != "instance" {
						t.Errorf("%s: the legend of %s names %s, which the expression does not keep", file, p.Title, l[1])
					}
				}
			}
		}
	}
	if panels < 30 {
		t.Errorf("only %d panels were read", panels)
	}
}

// Panels do not cover each other, and stay within Grafana's 24 columns.
func TestPanelsHaveTheirPlace(t *testing.T) {
	for file, d := range dashboards(t) {
		taken := map[[2]int]string{}
		for _, p := range d.Panels {
			g := p.GridPos
			if g.W < 1 || g.H < 1 || g.X+g.W > 24 {
				t.Errorf("%s: %s is at %+v", file, p.Title, g)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if by, ok := taken[[2]int{x, y}]; ok && by != p.Title {
						t.Fatalf("%s: %s covers %s", file, p.Title, by)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

// Every metric of the program is somewhere to be seen: in a panel or in an alert.
func TestEveryMetricIsUsed(t *testing.T) {
	var text strings.Builder
	for _, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				text.WriteString(q.Expr + "\n")
			}
		}
	}
	for _, g := range groups(t) {
		for _, r := range g.Rules {
			text.WriteString(r.Expr + "\n")
		}
	}
	var own map[string]metric
	if err := json.Unmarshal([]byte(read(t, "prometheus", "metrics.json")), &own); err != nil {
		t.Fatal(err)
	}
	guide := read(t, "..", "docs", "operations.md")
	for name, m := range own {
		if !strings.Contains(text.String(), name) {
			t.Errorf("%s is in no panel and no alert", name)
		}
		if !strings.Contains(guide, name) {
			t.Errorf("%s is not in docs/operations.md", name)
		}
		for _, event := range m.Labels["event"] {
			if code, ok := strings.CutPrefix(event, "confirm_refused_"); ok && code != "" {
				continue
			}
			if !strings.Contains(guide, "`"+event+"`") {
				t.Errorf("the event %s is not in docs/operations.md", event)
			}
			if !strings.Contains(text.String(), event) {
				t.Errorf("the event %s is in no panel and no alert", event)
			}
		}
	}
}
