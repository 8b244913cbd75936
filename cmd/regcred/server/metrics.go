package server

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"regcred.dev/deliver/kubernetes"
)

var (
	expiryDesc = prometheus.NewDesc("regcred_login_expiry_seconds",
		"Seconds until the credential's current login expires; negative once it has. Logins that never expire have none.",
		[]string{"guid", "location", "scope", "provider"}, nil)
	failuresDesc = prometheus.NewDesc("regcred_mint_consecutive_failures",
		"Mints of the credential's login that failed since the last good one.",
		[]string{"guid", "location", "scope", "provider"}, nil)
	credentialsDesc = prometheus.NewDesc("regcred_credentials",
		"Credentials by provider, and whether they have a login that is valid now.",
		[]string{"provider", "login"}, nil)
	gapDesc = prometheus.NewDesc("regcred_login_gap_timestamp_seconds",
		"When pulls with the credential begin to fail, in Unix time, where no new login is to be had. Absent where no such time is in sight.",
		[]string{"guid", "location", "scope", "provider"}, nil)
	rotateDesc = prometheus.NewDesc("regcred_rotate_by_timestamp_seconds",
		"When the stored secret of the credential is to be replaced, in Unix time.",
		[]string{"guid", "location", "scope", "provider"}, nil)
	issuerMintsDesc = prometheus.NewDesc("regcred_issuer_mints_total",
		"Mints by issuer and outcome: ok, or failed.", []string{"provider", "issuer", "outcome"}, nil)
	issuerRateDesc = prometheus.NewDesc("regcred_issuer_rate_limit",
		"Mints a second that the issuer is asked for at most now. Absent where there is no limit.", []string{"provider", "issuer"}, nil)
	issuerThrottledDesc = prometheus.NewDesc("regcred_issuer_throttled",
		"1 while the issuer is left alone because it asked for that.", []string{"provider", "issuer"}, nil)
	issuerDownDesc = prometheus.NewDesc("regcred_issuer_down",
		"1 while the issuer does not answer.", []string{"provider", "issuer"}, nil)
	targetSyncedDesc = prometheus.NewDesc("regcred_target_last_sync_timestamp_seconds",
		"When the target was last made to match, in Unix time.", []string{"target"}, nil)
	targetEntriesDesc = prometheus.NewDesc("regcred_target_entries",
		"Logins that the target holds.", []string{"target"}, nil)
	targetProblemDesc = prometheus.NewDesc("regcred_target_problem",
		"1 where the target's last sync failed (error), or removals are held back (held).", []string{"target", "kind"}, nil)
	namespaceSyncedDesc = prometheus.NewDesc("regcred_kubernetes_namespace_synced",
		"1 where the namespace's pull secret has all that it is to have, and no login in it has expired.", []string{"target", "namespace"}, nil)
	namespaceProblemDesc = prometheus.NewDesc("regcred_kubernetes_namespace_problem",
		"1 where the API server did not take the last write (failed), or the pull secret cannot be written to (conflict). Absent where neither is so.",
		[]string{"target", "namespace", "kind"}, nil)
	namespaceExpiryDesc = prometheus.NewDesc("regcred_kubernetes_namespace_expiry_seconds",
		"Seconds until the first login in the namespace's pull secret expires; negative once it has. Absent where none ever does.",
		[]string{"target", "namespace"}, nil)
)

// newMetrics returns what /metrics serves of the process and of a collector; other
// parts register theirs with it.
func newMetrics(c prometheus.Collector) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), c)
	return reg
}

// metricsHandler serves metrics, those that can be had where one fails.
func metricsHandler(metrics *prometheus.Registry, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError,
	})
}

// Describe implements prometheus.Collector.
func (c *core) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		expiryDesc, failuresDesc, gapDesc, rotateDesc,
		issuerMintsDesc, issuerRateDesc, issuerThrottledDesc, issuerDownDesc,
		targetSyncedDesc, targetEntriesDesc, targetProblemDesc,
		namespaceSyncedDesc, namespaceProblemDesc, namespaceExpiryDesc,
	} {
		ch <- d
	}
	totals{c}.Describe(ch)
}

// Collect implements prometheus.Collector.
func (c *core) Collect(ch chan<- prometheus.Metric) {
	now := time.Now()
	for e := range c.books.Now().Entries() {
		labels := []string{
			strings.ToValidUTF8(e.GUID, "?"), e.Location.String(),
			strings.ToValidUTF8(e.Scope.String(), "?"), strings.ToValidUTF8(e.Provider, "?"),
		}
		if e.Login != nil && !e.Login.ExpiresAt.IsZero() {
			ch <- gauge(expiryDesc, e.Login.ExpiresAt.Sub(now).Seconds(), labels...)
		}
		if !e.RotateBy.IsZero() {
			ch <- gauge(rotateDesc, float64(e.RotateBy.Unix()), labels...)
		}
		st, _ := c.fresh.Status(e.GUID)
		if st.Failures > 0 {
			ch <- gauge(failuresDesc, float64(st.Failures), labels...)
		}
		if !st.GapAt.IsZero() {
			ch <- gauge(gapDesc, float64(st.GapAt.Unix()), labels...)
		}
	}
	totals{c}.Collect(ch)
	c.collectIssuers(ch)
	c.collectTargets(ch)
	c.collectNamespaces(ch, now)
}

// totals are the metrics that name nothing of any scope.
type totals struct{ *core }

// Describe implements prometheus.Collector.
func (totals) Describe(ch chan<- *prometheus.Desc) { ch <- credentialsDesc }

// Collect implements prometheus.Collector.
func (t totals) Collect(ch chan<- prometheus.Metric) {
	now := time.Now()
	type kind struct{ provider, login string }
	counts := map[kind]int{}
	for e := range t.books.Now().Entries() {
		state := "valid"
		switch {
		case e.Login == nil:
			state = "none"
		case e.Login.Expired(now):
			state = "expired"
		}
		counts[kind{strings.ToValidUTF8(e.Provider, "?"), state}]++
	}
	for k, n := range counts {
		ch <- gauge(credentialsDesc, float64(n), k.provider, k.login)
	}
}

// collectIssuers leaves out what asks nobody.
func (c *core) collectIssuers(ch chan<- prometheus.Metric) {
	for i := range c.fresh.Issuers() {
		if i.Issuer == "" {
			continue
		}
		provider, issuer := strings.ToValidUTF8(i.Provider, "?"), strings.ToValidUTF8(i.Issuer, "?")
		ch <- counter(issuerMintsDesc, i.Mints, provider, issuer, "ok")
		ch <- counter(issuerMintsDesc, i.Failures, provider, issuer, "failed")
		if i.Rate > 0 {
			ch <- gauge(issuerRateDesc, i.Rate, provider, issuer)
		}
		ch <- gauge(issuerThrottledDesc, oneIf(!i.ThrottledUntil.IsZero()), provider, issuer)
		ch <- gauge(issuerDownDesc, oneIf(i.Down), provider, issuer)
	}
}

func counter(d *prometheus.Desc, v uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func (c *core) collectTargets(ch chan<- prometheus.Metric) {
	for _, t := range c.runner.Status() {
		if !t.SyncedAt.IsZero() {
			ch <- gauge(targetSyncedDesc, float64(t.SyncedAt.Unix()), t.Name)
		}
		ch <- gauge(targetEntriesDesc, float64(t.Delivered), t.Name)
		ch <- gauge(targetProblemDesc, oneIf(t.Error != ""), t.Name, "error")
		ch <- gauge(targetProblemDesc, oneIf(len(t.Held) > 0), t.Name, "held")
	}
}

// collectNamespaces is for the targets that have namespaces.
func (c *core) collectNamespaces(ch chan<- prometheus.Metric, now time.Time) {
	for _, t := range c.targets {
		cluster, ok := t.(*kubernetes.Target)
		if !ok {
			continue
		}
		name := cluster.Describe().Name
		for n := range cluster.Namespaces() {
			ch <- gauge(namespaceSyncedDesc, oneIf(n.Synced), name, n.Namespace)
			if n.Failed {
				ch <- gauge(namespaceProblemDesc, 1, name, n.Namespace, "failed")
			}
			if n.Conflict {
				ch <- gauge(namespaceProblemDesc, 1, name, n.Namespace, "conflict")
			}
			if !n.ExpiresAt.IsZero() {
				ch <- gauge(namespaceExpiryDesc, n.ExpiresAt.Sub(now).Seconds(), name, n.Namespace)
			}
		}
	}
}

func gauge(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
