package api

import (
	"context"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
	"muster/webhooks"
)

type webhookView struct {
	WebhookID           string                `json:"webhookId"`
	URL                 string                `json:"url"`
	Types               []allocator.EventType `json:"types"`
	Sites               []allocator.SiteID    `json:"sites"`
	Description         string                `json:"description,omitempty"`
	Status              string                `json:"status"`
	Organisation        string                `json:"organisation,omitempty"`
	CreatedAt           string                `json:"createdAt"`
	Secret              string                `json:"secret,omitempty"`
	PreviousSecretUntil string                `json:"previousSecretUntil,omitempty"`
	Delivery            deliveryView          `json:"delivery"`
}

type deliveryView struct {
	Cursor          string `json:"cursor"`
	DisabledBecause string `json:"disabledBecause,omitempty"`
	Failures        int    `json:"failures"`
	FailingSince    string `json:"failingSince,omitempty"`
	NextAttemptAt   string `json:"nextAttemptAt,omitempty"`
	LastDeliveredAt string `json:"lastDeliveredAt,omitempty"`
	Problem         string `json:"problem,omitempty"`
}

type attemptView struct {
	Delivered bool   `json:"delivered"`
	Status    int    `json:"status,omitempty"`
	TookMs    int64  `json:"tookMs"`
	Problem   string `json:"problem,omitempty"`
}

const maxWebhookSites = 1000

var eventTypes = []allocator.EventType{
	allocator.EventBooked, allocator.EventCancelled, allocator.EventMoved, allocator.EventStatus, allocator.EventCapacity,
}

// hooks are the server's webhooks, or the refusal of a server that has none.
func (s *Server) hooks() (*webhooks.Hooks, error) {
	if s.options.Webhooks == nil {
		return nil, allocator.Refuse(CodeNotFound, "this server sends no webhooks")
	}
	return s.options.Webhooks, nil
}

// asked finds the webhooks and refuses parameters, which none of these routes has.
func (s *Server) asked(x *exchange) (*webhooks.Hooks, error) {
	hooks, err := s.hooks()
	if err != nil {
		return nil, err
	}
	return hooks, x.noQuery()
}

func (s *Server) createWebhook(ctx context.Context, x *exchange) (reply, error) {
	hooks, err := s.asked(x)
	if err != nil {
		return reply{}, err
	}
	req := webhooks.Creation{Caller: x.grant.caller(), IdempotencyKey: x.idempotencyKey()}
	if req.Settings, err = s.decodeWebhook(ctx, x, hooks); err != nil {
		return reply{}, err
	}
	made, secret, err := hooks.Create(ctx, req)
	if err != nil {
		return reply{}, err
	}
	return reply{status: fasthttp.StatusCreated, place: "/v1/webhooks/" + made.ID, body: viewWebhook(made, secret)}, nil
}

// decodeWebhook reads what the owner chooses; what GET shows besides is not looked at.
func (s *Server) decodeWebhook(ctx context.Context, x *exchange, hooks *webhooks.Hooks) (webhooks.Settings, error) {
	d, o := x.document(required)
	o.only("webhookId", "url", "types", "sites", "description", "status", "after", "organisation", "createdAt", "previousSecretUntil", "delivery")
	if id := x.param("webhookId"); id != "" {
		o.same("webhookId", id)
	}
	set := webhooks.Settings{
		URL: o.text("url", required, webhooks.MaxURLBytes), Description: o.text("description", optional, allocator.MaxNameBytes),
		Disabled: o.choice("status", optional, "enabled", "disabled") == "disabled", After: o.text("after", optional, maxCursorBytes),
	}
	if set.URL != "" {
		if fault := hooks.CheckURL(set.URL); fault != "" {
			d.fault("/url", "%s", fault)
		}
	}
	for i, text := range o.texts("types", optional, len(eventTypes), maxWordBytes) {
		kind := allocator.EventType(text)
		if !slices.Contains(eventTypes, kind) {
			d.fault("/types/"+itoa(i), "is not a type of event")
		}
		set.Types = append(set.Types, kind)
	}
	for i, text := range o.texts("sites", optional, maxWebhookSites, maxWordBytes) {
		id := allocator.SiteID(text)
		own := id.Valid()
		if own {
			var err error
			if own, err = s.own(ctx, x.grant.caller(), id); err != nil {
				return set, err
			}
		}
		if !own {
			d.fault("/sites/"+itoa(i), "is not a site of yours")
		}
		set.Sites = append(set.Sites, id)
	}
	return set, d.fail()
}

func (s *Server) listWebhooks(ctx context.Context, x *exchange) (reply, error) {
	hooks, err := s.asked(x)
	if err != nil {
		return reply{}, err
	}
	all, err := hooks.List(ctx, x.grant.caller())
	if err != nil {
		return reply{}, err
	}
	views := make([]webhookView, len(all))
	for i := range all {
		views[i] = viewWebhook(all[i], "")
	}
	return reply{body: map[string]any{"webhooks": views}}, nil
}

func (s *Server) getWebhook(ctx context.Context, x *exchange) (reply, error) {
	hooks, err := s.asked(x)
	if err != nil {
		return reply{}, err
	}
	found, err := hooks.Get(ctx, x.grant.caller(), x.param("webhookId"))
	return reply{body: viewWebhook(found, "")}, err
}

func (s *Server) putWebhook(ctx context.Context, x *exchange) (reply, error) {
	hooks, err := s.asked(x)
	if err != nil {
		return reply{}, err
	}
	set, err := s.decodeWebhook(ctx, x, hooks)
	if err != nil {
		return reply{}, err
	}
	changed, err := hooks.Change(ctx, x.grant.caller(), x.param("webhookId"), set)
	return reply{body: viewWebhook(changed, "")}, err
}

func (s *Server) deleteWebhook(ctx context.Context, x *exchange) (reply, error) {
	hooks, err := s.asked(x)
	if err != nil {
		return reply{}, err
	}
	return reply{status: fasthttp.StatusNoContent}, hooks.Remove(ctx, x.grant.caller(), x.param("webhookId"))
}

func (s *Server) rotateWebhookSecret(ctx context.Context, x *exchange) (reply, error) {
	hooks, err := s.asked(x)
	if err != nil {
		return reply{}, err
	}
	changed, secret, err := hooks.Rotate(ctx, x.grant.caller(), x.param("webhookId"))
	return reply{body: viewWebhook(changed, secret)}, err
}

func (s *Server) testWebhook(ctx context.Context, x *exchange) (reply, error) {
	hooks, err := s.asked(x)
	if err != nil {
		return reply{}, err
	}
	a, err := hooks.Test(ctx, x.grant.caller(), x.param("webhookId"))
	return reply{body: attemptView{a.Delivered, a.Status, a.Took.Milliseconds(), a.Problem}}, err
}

func viewWebhook(w webhooks.Webhook, secret string) webhookView {
	p := w.Progress
	view := webhookView{
		WebhookID: w.ID, URL: w.URL, Types: list(w.Types), Sites: list(w.Sites), Description: w.Description, Status: "enabled",
		Organisation: w.Organisation, CreatedAt: moment(w.CreatedAt), Secret: secret,
		Delivery: deliveryView{
			Cursor: p.Cursor, DisabledBecause: w.Disabled, Failures: p.Failures, FailingSince: momentOr(p.FailingSince),
			NextAttemptAt: momentOr(p.NextAttempt), LastDeliveredAt: momentOr(p.LastDelivered), Problem: p.Problem,
		},
	}
	if w.Disabled != "" {
		view.Status = "disabled"
	}
	if len(w.Secrets) > 1 {
		view.PreviousSecretUntil = moment(w.Secrets[1].Until)
	}
	return view
}

// momentOr is moment, or nothing for a time that never was.
func momentOr(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return moment(t)
}
