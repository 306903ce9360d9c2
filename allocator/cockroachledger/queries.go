package cockroachledger

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"regexp"
	"strings"
)

//go:embed queries/*.sql
var queryFiles embed.FS

// queries holds the text of each section of queries/*.sql under its name.
type queries struct {
	RecordPinned, RecordPinnedChecked                                                       string
	RowsByKey, RowForUpdate, LiveByPerson, LiveBySlot                                       string
	SiteFacts, EpochsOf, LiveByPlace, RevisionsOf                                           string
	InsertBookings, UpdateBookings, RaiseGenerations                                        string
	InsertJournal, Now                                                                      string
	SlotRows, LiveByDay, CancelledByDay, LiveBySite                                         string
	ChangedDays, EndedClaims, LivePlaces, EndedSince, LiveHolds, RevisionsFrom, Generations string
	SchemaVersion, ReadSetting, StoreSetting                                                string
	SiteForUpdate, PutSite, ServiceForUpdate, PutService, CreateService                     string
	Services, KnownServices, Sites, Site, SiteDetails                                       string
	Days, Day, DaysByID, DaysForUpdate, SiteDaysForUpdate, PutDays                          string
	SitePlan, PlanForUpdate, PutPlan, DuePlans, PlanVersions                                string
	Epochs, EpochHistory, OpenEpoch                                                         string
	AmendSetting, BookingFor, PersonBookings, Payloads, Reseal                              string
	Unsequenced, LastSeq, Sequence, JournalAfter                                            string
	Webhooks, Webhook, WebhookForUpdate, PutWebhook, DeleteWebhook                          string
	AppendTrail, TrailEnd, Trail, TrailOfSite, TrailOfBooking, TrailOfActor                 string
}

var sectionName = regexp.MustCompile(`(?m)^-- name: (\w+)$`)

// loadQueries fails unless the sections of the files and the fields of queries are the same, each once.
func loadQueries(files fs.FS) (*queries, error) {
	names, err := fs.Glob(files, "queries/*.sql")
	if err != nil {
		return nil, err
	}
	q := new(queries)
	fields := reflect.ValueOf(q).Elem()
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		if err := loadSections(fields, path.Base(name), string(text)); err != nil {
			return nil, err
		}
	}
	for i := range fields.NumField() {
		if fields.Field(i).String() == "" {
			return nil, fmt.Errorf("no file has a query named %s", fields.Type().Field(i).Name)
		}
	}
	return q, nil
}

func loadSections(fields reflect.Value, file, text string) error {
	starts := sectionName.FindAllStringSubmatchIndex(text, -1)
	for i, start := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		name := text[start[2]:start[3]]
		field := fields.FieldByName(name)
		if !field.IsValid() {
			return fmt.Errorf("%s: query %s has no field", file, name)
		}
		if field.String() != "" {
			return fmt.Errorf("%s: query %s is there twice", file, name)
		}
		field.SetString(strings.TrimSuffix(strings.TrimSpace(text[start[1]:end]), ";"))
	}
	return nil
}
