package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Repository is one of the registry's.
type Repository struct {
	Name      string `json:"name"`
	Tags      int    `json:"tags"`
	Manifests int    `json:"manifests"`
	Blobs     int    `json:"blobs"`
	// Bytes is what it holds: all content that it links, each once.
	Bytes int64 `json:"bytes"`
	// Quota is the most that it may hold, in bytes; 0 for any.
	Quota int64 `json:"quota"`
	// PushedAt is when a tag was written last.
	PushedAt *time.Time `json:"pushed_at"`
}

// Tag is one of a repository's.
type Tag struct {
	Name      string `json:"name"`
	Digest    string `json:"digest"`
	MediaType string `json:"media_type"`
	// Bytes is the size of all that the tag needs, each content once.
	Bytes int64 `json:"bytes"`
	// Platforms are those of the image: OS/ARCHITECTURE[/VARIANT].
	Platforms []string   `json:"platforms"`
	WrittenAt *time.Time `json:"written_at"`
	// Pulls and PulledAt are of the last 90 days.
	Pulls     int64      `json:"pulls"`
	PulledAt  *time.Time `json:"pulled_at"`
	Immutable bool       `json:"immutable"`
	// Problem says why not all of this is known.
	Problem string `json:"problem,omitempty"`
}

// TagVersion is a manifest that a tag points at, or pointed at before.
type TagVersion struct {
	Digest    string     `json:"digest"`
	MediaType string     `json:"media_type"`
	Bytes     int64      `json:"bytes"`      // of the manifest alone
	WrittenAt *time.Time `json:"written_at"` // null: not known
	// ReplacedAt is when the tag was moved on or deleted; null: the tag points at it.
	ReplacedAt *time.Time `json:"replaced_at"`
	// Available says that the repository still has the manifest.
	Available bool `json:"available"`
}

// TagRollback says what a tag was rolled back to.
type TagRollback struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
}

// Amount is a number of objects, and the bytes of content that they are for.
type Amount struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

// Collection says what a collection of garbage did, or would do.
type Collection struct {
	DryRun bool `json:"dry_run"`
	// Content is all that is stored, Links are those of all repositories to it.
	Content Amount `json:"content"`
	Links   int    `json:"links"`
	// Dropped is how many tags retention dropped; Tags are the first 1,000 of them, as
	// REPOSITORY:TAG.
	Dropped int      `json:"dropped"`
	Tags    []string `json:"tags"`
	// Manifests and Blobs were taken out of repositories, where nothing needed them.
	Manifests Amount `json:"manifests"`
	Blobs     Amount `json:"blobs"`
	// Condemned is content that was found to be in no repository, and goes once it was
	// for a day; Waiting is what is condemned already, Spared what is in one again.
	Condemned Amount `json:"condemned"`
	Waiting   int    `json:"waiting"`
	Spared    int    `json:"spared"`
	// Deleted is content that was deleted.
	Deleted Amount `json:"deleted"`
	// Skipped are repositories that were left alone.
	Skipped []SkippedRepository `json:"skipped"`
}

// SkippedRepository is one that garbage was not collected in, since it is damaged.
type SkippedRepository struct {
	Repository string `json:"repository"`
	Reason     string `json:"reason"`
}

// RegistryCheck is what a check of the registry's metadata against its storage found.
type RegistryCheck struct {
	Deep bool `json:"deep"` // all content was read
	// Lost counts what is lost, damaged or incomplete; Harmless what a collection of
	// garbage sees to.
	Lost     int `json:"lost"`
	Harmless int `json:"harmless"`
	// Problems are the first 1,000, those that are lost first.
	Problems []RegistryProblem `json:"problems"`
	// Shadowed are repositories of Crane's metadata which are of no effect, since the
	// registry has images of that name.
	Shadowed []string `json:"shadowed"`
}

// RegistryProblem is a difference between the registry's metadata and its storage.
type RegistryProblem struct {
	Kind       string `json:"kind"`
	Harmless   bool   `json:"harmless"`
	Repository string `json:"repository,omitempty"`
	Digest     string `json:"digest,omitempty"`
	Bytes      int64  `json:"bytes,omitempty"` // of garbage
	Key        string `json:"key"`             // of the object in the storage
	// Message says what is wrong, and what helps.
	Message string `json:"message"`
}

// RegistryStatistic is what was counted of a tag, or without a tag of a repository's
// blobs and of manifests by their digests.
type RegistryStatistic struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	// Pulls are manifests sent; Checks are clients that looked whether there is a new
	// one; PulledBytes are bytes sent, or that clients were sent to the storage for.
	Pulls       int64 `json:"pulls"`
	Checks      int64 `json:"checks"`
	PulledBytes int64 `json:"pulled_bytes"`
	// Pushes are manifests stored, PushedBytes bytes received.
	Pushes       int64      `json:"pushes"`
	PushedBytes  int64      `json:"pushed_bytes"`
	LastPulledAt *time.Time `json:"last_pulled_at"`
	LastPushedAt *time.Time `json:"last_pushed_at"`
}

// Images says where a server's images come from.
type Images struct {
	// Storage says in words where they are kept.
	Storage string `json:"storage"`
	// Crane is a directory of Crane's metadata, null where there is none.
	Crane *Crane `json:"crane"`
}

// Crane is a directory of Crane's metadata.
type Crane struct {
	Path string `json:"path"`
	// V1 and V2 count its repositories by protocol, Protected those that need a
	// certificate.
	V1        int        `json:"v1"`
	V2        int        `json:"v2"`
	Protected int        `json:"protected"`
	ReadAt    *time.Time `json:"read_at"`
	Bad       []BadFile  `json:"bad"`
}

// BadFile is a file of Crane's metadata that cannot be used.
type BadFile struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
	// Kept says that what it said before is served.
	Kept bool `json:"kept"`
}

// Repositories returns all of the registry's repositories, from every page.
func (c *Client) Repositories(ctx context.Context) ([]Repository, error) {
	return list[Repository](ctx, c, registryPath+"repositories", nil)
}

// Tags returns all tags of a repository, from every page.
func (c *Client) Tags(ctx context.Context, repository string) ([]Tag, error) {
	return list[Tag](ctx, c, registryPath+"tags", url.Values{"repository": {repository}})
}

// TagHistory returns what a tag points at and pointed at before, the last first.
func (c *Client) TagHistory(ctx context.Context, repository, tag string) ([]TagVersion, error) {
	return list[TagVersion](ctx, c, registryPath+"history", tagQuery(repository, tag))
}

// RollbackTag points a tag at a manifest that it pointed at before, or where digest is ""
// at the last one.
func (c *Client) RollbackTag(ctx context.Context, repository, tag, digest string) (TagRollback, error) {
	q := tagQuery(repository, tag)
	if digest != "" {
		q.Set("digest", digest)
	}
	return call[TagRollback](ctx, c, http.MethodPost, registryPath+"tags/actions/rollback", q, nil)
}

// DeleteTag removes a tag; what it points at stays.
func (c *Client) DeleteTag(ctx context.Context, repository, tag string) error {
	_, err := c.do(ctx, http.MethodDelete, registryPath+"tags", tagQuery(repository, tag), nil)
	return err
}

// DeleteManifest removes a manifest, and the tags that point at it.
func (c *Client) DeleteManifest(ctx context.Context, repository, digest string) error {
	q := url.Values{"repository": {repository}, "digest": {digest}}
	_, err := c.do(ctx, http.MethodDelete, registryPath+"manifests", q, nil)
	return err
}

// RegistryStatistics returns what was pulled and pushed on the days from one time to
// another, both included, in UTC. Months that were over more than 92 days ago are counted
// whole.
func (c *Client) RegistryStatistics(ctx context.Context, from, to time.Time) ([]RegistryStatistic, error) {
	q := url.Values{"from": {from.UTC().Format(time.DateOnly)}, "to": {to.UTC().Format(time.DateOnly)}}
	return list[RegistryStatistic](ctx, c, registryPath+"statistics", q)
}

const registryPath = "/regcred/v1/registry/"

func tagQuery(repository, tag string) url.Values {
	return url.Values{"repository": {repository}, "tag": {tag}}
}
