package validate

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// alerts are all rules that alert.
func alerts(t testing.TB) (all []rule) {
	for _, g := range groups(t) {
		for _, r := range g.Rules {
			if r.Alert != "" {
				all = append(all, r)
			}
		}
	}
	return all
}

const runbooks = "docs/runbooks/"

var sections = []string{"## Meaning", "## Impact", "## First checks", "## Mitigation", "## Escalation"}

// Each alert says how urgent it is, and links its runbook; each runbook belongs to an alert and is whole.
func TestEveryAlertHasItsRunbook(t *testing.T) {
	wanted := map[string]bool{}
	for _, r := range alerts(t) {
		wanted[r.Alert+".md"] = true
		if s := r.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s has the severity %q", r.Alert, s)
		}
		if r.For == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s does not say how long, or what", r.Alert)
		}
		if r.Annotations["runbook_url"] != runbooks+r.Alert+".md" {
			t.Errorf("%s links %q", r.Alert, r.Annotations["runbook_url"])
		}
		data, err := os.ReadFile(filepath.Join(deploy, "..", runbooks, r.Alert+".md"))
		if err != nil {
			t.Errorf("%s has no runbook: %v", r.Alert, err)
			continue
		}
		at := 0
		for _, s := range append([]string{"# " + r.Alert + "\n"}, sections...) {
			next := strings.Index(string(data)[at:], s)
			if next < 0 {
				t.Errorf("the runbook of %s lacks %q, or has it too early", r.Alert, strings.TrimSpace(s))
				break
			}
			at += next + len(s)
		}
	}
	for _, path := range files(t, "../docs/runbooks", ".md") {
		if !wanted[filepath.Base(path)] {
			t.Errorf("%s belongs to no alert", path)
		}
	}
	if len(wanted) < 20 {
		t.Errorf("only %d alerts were read", len(wanted))
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

// Links of the operators' documents lead somewhere, and the chapters that runbooks name are there.
func TestDocumentsLinkWhatIsThere(t *testing.T) {
	guide := read(t, "..", "docs", "operations.md")
	pages := append(files(t, "../docs/runbooks", ".md"), filepath.Join(deploy, "..", "docs", "operations.md"))
	links := 0
	for _, path := range pages {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(data), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links %s: %v", path, m[1], err)
			}
		}
		flat := strings.Join(strings.Fields(string(data)), " ")
		for _, m := range regexp.MustCompile(`\*([A-Z][A-Za-z ]+)\* in \[operations\]`).FindAllStringSubmatch(flat, -1) {
			if !strings.Contains(guide, "## "+m[1]+"\n") {
				t.Errorf("%s sends people to the chapter %q of operations.md", path, m[1])
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were read", links)
	}
}

// Each alert is shown to fire and to be quiet, by promtool's unit tests.
func TestEveryAlertIsTested(t *testing.T) {
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, path := range files(t, "prometheus/tests", ".yaml") {
		var file struct {
			Tests []struct {
				Alerts []struct {
					Name     string `json:"alertname"`
					Expected []struct {
						Labels map[string]string `json:"exp_labels"`
					} `json:"exp_alerts"`
				} `json:"alert_rule_test"`
			} `json:"tests"`
		}
		if err := yaml.Unmarshal([]byte(read(t, "prometheus", "tests", filepath.Base(path))), &file); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, one := range file.Tests {
			for _, a := range one.Alerts {
				quiet[a.Name] = quiet[a.Name] || len(a.Expected) == 0
				for _, e := range a.Expected {
					fires[a.Name+" "+e.Labels["severity"]] = true
				}
			}
		}
	}
	for _, r := range alerts(t) {
		if !fires[r.Alert+" "+r.Labels["severity"]] || !quiet[r.Alert] {
			t.Errorf("no test shows %s (%s) to fire, or none shows it to be quiet", r.Alert, r.Labels["severity"])
		}
	}
}

func TestPromtool(t *testing.T) {
	promtool := program(t, "promtool")
	folder := filepath.Join(deploy, "prometheus")
	names := func(suffix string) (found []string) {
		for _, path := range files(t, "prometheus/"+suffix, ".yaml") {
			found = append(found, filepath.Join(suffix, filepath.Base(path)))
		}
		return found
	}
	for _, args := range [][]string{
		append([]string{"check", "rules"}, names("rules")...),
		{"check", "config", "--syntax-only", "prometheus.yml"},
		append([]string{"test", "rules"}, names("tests")...),
	} {
		if out, err := run(t, folder, promtool, args...); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// The objectives in the guide are those of the rules.
func TestObjectivesAreTheSame(t *testing.T) {
	guide := strings.Join(strings.Fields(read(t, "..", "docs", "operations.md")), " ")
	var all []string
	for _, r := range alerts(t) {
		all = append(all, r.Expr)
	}
	text := strings.Join(all, "\n")
	for objective, factor := range map[string]string{"99.9 %": "14.4 * 0.001\n", "99.95 %": "14.4 * 0.0005\n"} {
		if !strings.Contains(guide, objective) || !strings.Contains(text, factor) {
			t.Errorf("guide and rules differ on %s", objective)
		}
	}
	for bound, le := range map[string]string{"250 ms": `operation="createHold",class=~"2xx|4xx",le="0.25"`, "500 ms": `operation="confirmHold",class=~"2xx|4xx",le="0.5"`} {
		rules := read(t, "prometheus", "rules", "objectives.yaml")
		if !strings.Contains(guide, bound) || !strings.Contains(rules, le) {
			t.Errorf("guide and rules differ on %s", bound)
		}
	}
	if windows := regexp.MustCompile(`rate(\d+[mhd])`).FindAllString(text, -1); !slices.Contains(windows, "rate3d") {
		t.Error(fmt.Sprint("the alerts look at ", windows))
	}
}
