package api

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"muster/allocator"
)

// What GET shows, PUT takes; and nothing of a plan is lost on the way.
func TestPlanRoundTrip(t *testing.T) {
	engine := &fake{}
	w := serve(t, Options{Dev: true}, engine)
	shown := w.staff("GET", "/v1/sites/A/plan", "").wants(200)
	if tag := shown.header.Get("ETag"); tag != `"7"` {
		t.Errorf("ETag %s", tag)
	}
	w.staff("PUT", "/v1/sites/A/plan?dryRun=true&bookings=cancel&edited=replace", string(shown.body), "If-Match", `"7"`).wants(200)
	stored, _, _ := engine.Plan(t.Context(), "A")
	r := engine.lastPlan
	if got, want := textOf(r.Plan), textOf(stored.Plan); got != want {
		t.Errorf("taken as %s\nwant     %s", got, want)
	}
	if !r.DryRun || !r.Cancel || !r.Replace || r.Site != "A" || r.IfMatch == nil || *r.IfMatch != 7 || r.Caller.Actor == "" {
		t.Errorf("asked for %+v", r)
	}
	done := w.staff("PUT", "/v1/sites/A/plan", somePlan).wants(200)
	p := engine.lastPlan.Plan
	if done.header.Get("ETag") != `"8"` || len(p.Series) != 1 || p.Series[0].EveryWeeks != 2 || p.Series[0].Weekdays[1] != time.Thursday {
		t.Errorf("%v: %+v", done.header, p)
	}
}

func textOf(p allocator.Plan) string {
	return string(allocator.EncodePlan(&allocator.SitePlan{Plan: p}))
}

// Where the condition is not met, the refusal shows the document as it is.
func TestMismatchShowsTheDocument(t *testing.T) {
	engine := &fake{}
	engine.publish = func(context.Context, allocator.PublishRequest) (allocator.PublishReply, error) {
		return allocator.PublishReply{}, allocator.Refuse(allocator.CodeRevisionMismatch, "changed")
	}
	w := serve(t, Options{Dev: true}, engine)
	for _, condition := range []string{`"6"`, `"5", "6"`} {
		for path, body := range map[string]string{"/v1/sites/A/plan": somePlan, "/v1/sites/A/days/2027-06-01": `{"sessions":[]}`} {
			a := w.staff("PUT", path, body, "If-Match", condition).wants(412)
			var refusal struct{ Current json.RawMessage }
			a.json(&refusal)
			if want := string(w.staff("GET", path, "").wants(200).body); string(refusal.Current) != want {
				t.Errorf("%s shows %s, want %s", path, refusal.Current, want)
			}
		}
	}
}

// TestPlanFaults: what has not the form of a plan is named, all at once.
func TestPlanFaults(t *testing.T) {
	w := serve(t, Options{Dev: true}, &fake{})
	for old, c := range map[string]struct{ new, pointer string }{
		`"everyWeeks":2`:                  {`"everyWeeks":0`, "/series/0/everyWeeks"},
		`"mon"`:                           {`"monday"`, "/series/0/weekdays/0"},
		`"until":"12:00"`:                 {`"until":"25:00"`, "/series/0/sessions/0/until"},
		`"reason"`:                        {`"because"`, "/closures/0/because"},
		`"date":"2027-06-28"`:             {`"date":"28 June"`, "/series/0/overrides/1/date"},
		`"edit":"block"`:                  {`"edit":"explode"`, "/series/0/overrides/0/edits/0/edit"},
		`"times":{"from":"09:00",`:        {`"times":{`, "/series/0/overrides/0/edits/0/times/from"},
		`{"date":"2027-06-28","sessions"`: {`{"date":"2027-06-28","session"`, "/series/0/overrides/1/session"},
		`{"from":"2027-07-01",`:           {`{`, "/series/0/closures/0/from"},
	} {
		body := strings.Replace(somePlan, old, c.new, 1)
		p := w.staff("PUT", "/v1/sites/A/plan", body).refused(400, allocator.CodeInvalid)
		if !strings.Contains(pointers(p), c.pointer) {
			t.Errorf("%s → %s: %+v", old, c.new, p)
		}
	}
	w.staff("PUT", "/v1/sites/A/plan?edited=perhaps", somePlan).refused(400, allocator.CodeInvalid)
}
