package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"muster/waitingroom"
)

// roomCollector shows how the waiting rooms stand: what all servers agree on, and what people did at this one.
type roomCollector struct{ rooms *waitingroom.Rooms }

var (
	roomActiveDesc  = prometheus.NewDesc("muster_waiting_room_active", "1 while holds of the service need a pass.", []string{"service"}, nil)
	roomWaitingDesc = prometheus.NewDesc("muster_waiting_room_waiting", "People who wait, by service. All servers tell the same.", []string{"service"}, nil)
	roomPaceDesc    = prometheus.NewDesc("muster_waiting_room_called_per_second", "How many people were called each second of late, by service. All servers tell the same.", []string{"service"}, nil)
	roomFreeDesc    = prometheus.NewDesc("muster_waiting_room_free", "Places that the room knows to be free, by service.", []string{"service"}, nil)
	roomStepsDesc   = prometheus.NewDesc("muster_waiting_room_steps_total", "What people did, by step: joined, looked, entered, refused (a hold without a pass), held, booked.", []string{"step"}, nil)
)

// Describe implements prometheus.Collector.
func (c roomCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{roomActiveDesc, roomWaitingDesc, roomPaceDesc, roomFreeDesc, roomStepsDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c roomCollector) Collect(to chan<- prometheus.Metric) {
	if c.rooms == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, service string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, service)
	}
	for _, service := range c.rooms.Services() {
		p, _ := c.rooms.Public(service)
		active := 0.0
		if p.Active {
			active = 1
		}
		gauge(roomActiveDesc, active, string(service))
		gauge(roomWaitingDesc, float64(p.Waiting), string(service))
		gauge(roomPaceDesc, p.Pace[0], string(service))
		if p.Free >= 0 {
			gauge(roomFreeDesc, float64(p.Free), string(service))
		}
	}
	n := c.rooms.Counts()
	for step, count := range map[string]int64{"joined": n.Joined, "looked": n.Looks, "entered": n.Entered, "refused": n.Refused, "held": n.Held, "booked": n.Booked} {
		to <- prometheus.MustNewConstMetric(roomStepsDesc, prometheus.CounterValue, float64(count), step)
	}
}
