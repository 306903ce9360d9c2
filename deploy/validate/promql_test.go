package validate

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// metric is what the program tells of one of its metrics (deploy/prometheus/metrics.json, which a test of the program keeps).
type metric struct {
	Labels map[string][]string `json:"labels"`
}

// others' metrics that rules and dashboards may use, with the labels that they may name.
var others = map[string][]string{
	"up":              nil,
	"kube_job_failed": {"namespace", "job_name", "condition"},
	"kube_cronjob_status_last_successful_time": {"namespace", "cronjob"},
	// By the client library, in every Go program.
	"process_open_fds": nil, "process_max_fds": nil, "process_cpu_seconds_total": nil, "process_resident_memory_bytes": nil,
	"process_start_time_seconds": nil, "go_goroutines": nil, "go_gc_duration_seconds": {"quantile"},
}

// scraped are the labels that every series has from the scrape.
var scraped = []string{"job", "instance"}

// catalogue is every series that an expression may name, with its labels; the values of a label, where they are known.
type catalogue map[string]map[string][]string

func known(t testing.TB) catalogue {
	t.Helper()
	var own map[string]metric
	if err := json.Unmarshal([]byte(read(t, "prometheus", "metrics.json")), &own); err != nil {
		t.Fatal(err)
	}
	all := catalogue{}
	for name, m := range own {
		if !strings.HasSuffix(name, "_call_seconds") && !strings.HasSuffix(name, "_request_seconds") && !strings.HasSuffix(name, "_batch_items") {
			all[name] = m.Labels
			continue
		}
		all[name+"_sum"], all[name+"_count"] = m.Labels, m.Labels
		withBound := map[string][]string{"le": nil}
		for l, v := range m.Labels {
			withBound[l] = v
		}
		all[name+"_bucket"] = withBound
	}
	for name, names := range others {
		all[name] = map[string][]string{}
		for _, l := range names {
			all[name][l] = nil
		}
	}
	for _, group := range groups(t) {
		for _, r := range group.Rules {
			if r.Record != "" {
				all[r.Record] = map[string][]string{}
			}
		}
	}
	return all
}

// complaints says what is wrong with an expression.
func (c catalogue) complaints(text string) (faults []string) {
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return []string{err.Error()}
	}
	inside := func(node parser.Node) map[string]bool {
		allowed := map[string]bool{}
		parser.Inspect(node, func(n parser.Node, _ []parser.Node) error {
			if s, ok := n.(*parser.VectorSelector); ok {
				for l := range c[s.Name] {
					allowed[l] = true
				}
			}
			return nil
		})
		for _, l := range scraped {
			allowed[l] = true
		}
		return allowed
	}
	parser.Inspect(expression, func(n parser.Node, _ []parser.Node) error {
		switch e := n.(type) {
		case *parser.VectorSelector:
			faults = append(faults, c.selector(e)...)
		case *parser.AggregateExpr:
			allowed := inside(e.Expr)
			for _, l := range e.Grouping {
				if !allowed[l] {
					faults = append(faults, fmt.Sprintf("groups by %q, which nothing there has", l))
				}
			}
		}
		return nil
	})
	return faults
}

// selector says what is wrong with one selector: its name, a label, or a value that can never be.
func (c catalogue) selector(s *parser.VectorSelector) (faults []string) {
	has, ok := c[s.Name]
	if !ok {
		return []string{fmt.Sprintf("nothing counts %q", s.Name)}
	}
	for _, m := range s.LabelMatchers {
		values, labelled := has[m.Name]
		switch {
		case m.Name == "__name__" || slices.Contains(scraped, m.Name):
		case !labelled:
			faults = append(faults, fmt.Sprintf("%s has no label %q", s.Name, m.Name))
		case len(values) > 0:
			faults = append(faults, dead(s.Name, m, values)...)
		}
	}
	return faults
}

// dead names the values of a matcher that no series can have.
func dead(name string, m *labels.Matcher, values []string) (faults []string) {
	alternatives := []string{m.Value}
	if m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp {
		alternatives = strings.Split(m.Value, "|")
	}
	for _, a := range alternatives {
		pattern := "^" + regexp.QuoteMeta(a) + "$"
		if len(alternatives) > 1 || m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp {
			pattern = "^(?:" + a + ")$"
		}
		re, err := regexp.Compile(pattern)
		if err != nil || !slices.ContainsFunc(values, re.MatchString) {
			faults = append(faults, fmt.Sprintf("%s is never counted with %s %q", name, m.Name, a))
		}
	}
	return faults
}

// group and rule are as much of a rule file as there is to check.
type group struct {
	Name  string `json:"name"`
	Rules []rule `json:"rules"`
}

type rule struct {
	Record      string            `json:"record"`
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func groups(t testing.TB) (all []group) {
	t.Helper()
	for _, path := range files(t, "prometheus/rules", ".yaml") {
		var file struct {
			Groups []group `json:"groups"`
		}
		if err := yaml.UnmarshalStrict([]byte(read(t, "prometheus", "rules", filepath.Base(path))), &file); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, file.Groups...)
	}
	return all
}

func TestRulesCountWhatIsCounted(t *testing.T) {
	c, rules := known(t), 0
	for _, g := range groups(t) {
		for _, r := range g.Rules {
			rules++
			for _, fault := range c.complaints(r.Expr) {
				t.Errorf("%s %s%s: %s", g.Name, r.Record, r.Alert, fault)
			}
		}
	}
	if rules < 60 {
		t.Errorf("only %d rules were read", rules)
	}
}

// The rules of these tests refuse what they should.
func TestWrongExpressionsAreRefused(t *testing.T) {
	c := known(t)
	for _, text := range []string{
		"sum(rate(muster_http_request_total[5m]))",
		"sum by (route) (rate(muster_http_requests_total[5m]))",
		`muster_http_requests_total{op="createHold"}`,
		`muster_http_requests_total{operation="createHolds"}`,
		`muster_allocator_events_total{event=~"rebuild|rebuilt"}`,
		`muster_allocator_events_total{event=~"refused_.+"}`,
		`histogram_quantile(0.9, muster_http_request_seconds)`,
		`rate(muster_http_requests_total)`,
		`muster:hold_requests:rate7m`,
	} {
		if len(c.complaints(text)) == 0 {
			t.Errorf("passed: %s", text)
		}
	}
	for _, text := range []string{
		`sum by (le, method) (rate(muster_ledger_call_seconds_bucket{method="Record",job="x"}[5m]))`,
		`muster_http_requests_total{status=~"5..",code="INTERNAL"}`,
	} {
		if faults := c.complaints(text); len(faults) > 0 {
			t.Errorf("refused: %s: %v", text, faults)
		}
	}
}
