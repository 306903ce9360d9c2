package api

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"muster/allocator"
)

const tableHead = "siteId,date,from,until,slotLength,capacity,services\n"

func (w *world) uploadTable(body string) answer {
	return w.staff("POST", "/v1/capacity", body, "Content-Type", "text/csv; charset=utf-8")
}

// A table has a result for each day and for each line that is refused, and only whole days reach the engine.
func TestUploadTable(t *testing.T) {
	engine := &fake{}
	var got []string
	engine.publishMany = func(_ context.Context, reqs []allocator.PublishRequest) ([]allocator.PublishReply, []error) {
		for _, r := range reqs {
			got = append(got, fmt.Sprint(r.Site, " ", r.Date, " ", len(r.Day.Sessions), " ", r.Caller.Client, " ", r.DryRun))
		}
		return make([]allocator.PublishReply, len(reqs)), make([]error, len(reqs))
	}
	w := serve(t, Options{Dev: true}, engine)
	a := w.uploadTable(tableHead +
		"A,2027-06-01,09:00,12:00,10,2,RSV:Adult\r\n" +
		"A,2027-06-01,13:00,17:00,10,2,RSV:Adult;FLU:65+\r\n" +
		"\r\n" +
		"A,2027-06-02,09:00,12:00,10,many,RSV:Adult\r\n" +
		"A,2027-06-02,13:00,14:00,10,1,RSV:Adult\r\n" +
		"B,2027-06-02,13:00,14:00,10,1,RSV:Adult\r\n" +
		strings.Repeat("x", 3<<20) + "\n" +
		"C,2027-06-02,13:00,14:00,10,1,RSV:Adult\n" +
		"D,2027-06-02,13:00,14:00,10,1,RSV:Adult")
	a.wants(200)
	var lines []string
	for _, r := range results(t, a.body) {
		status := 200
		if r.Problem != nil {
			status = r.Problem.Status
		}
		lines = append(lines, fmt.Sprint(r.Line, r.SiteID, status))
	}
	if want := "[2A200 5A400 5A400 8B413 7B400 9C400 10D200]"; fmt.Sprint(lines) != want {
		t.Errorf("results %v, want %s\n%s", lines, want, a.body)
	}
	if want := "[A 2027-06-01 2 dev false D 2027-06-02 1 dev false]"; fmt.Sprint(got) != want {
		t.Errorf("the engine got %v, want %s", got, want)
	}
	if first, _, _ := strings.Cut(string(a.body), "\n"); !strings.Contains(first, `"line":2,"lines":2,"siteId":"A","date":"2027-06-01"`) {
		t.Errorf("the first day: %s", first)
	}
}

// Without its header a table means nothing: that is said once, and nothing is published.
func TestUploadTableWithoutHeader(t *testing.T) {
	engine := &fake{publishMany: func(context.Context, []allocator.PublishRequest) ([]allocator.PublishReply, []error) {
		t.Error("something was published")
		return nil, nil
	}}
	w := serve(t, Options{Dev: true}, engine)
	const row = "A,2027-06-01,09:00,12:00,10,2,RSV:Adult\n"
	for _, head := range []string{row, strings.Replace(tableHead, "capacity", "capcity", 1), strings.Repeat("x", 2<<20) + "\n", "\x00\n"} {
		a := w.uploadTable(head + strings.Repeat(row, 500))
		a.wants(200)
		if all := results(t, a.body); len(all) != 1 || all[0].Line != 1 || all[0].Problem == nil {
			t.Errorf("header %.40q: %s", head, a.body)
		}
	}
	if a := w.uploadTable(tableHead); len(a.body) != 0 {
		t.Errorf("a table without lines: %s", a.body)
	}
}
