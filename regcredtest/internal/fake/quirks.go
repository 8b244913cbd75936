// Package fake is what the fakes of issuers have in common: their quirks, their
// clock, the tokens that they issue, and counts of what they were asked.
package fake

import "time"

// Quirks are ways in which issuers differ, or fail. A fake embeds them in its
// Options. The zero Quirks are an issuer that works: unique tokens, at once.
type Quirks struct {
	// Lifetime is how long a token lives. Default: what the real issuer gives.
	Lifetime time.Duration
	// Throttle is how many requests are refused from now on, because there were too
	// many; a negative number is all.
	Throttle int
	// RetryAfter is what such an answer says in its header of that name, in whole
	// seconds; 0: it has none.
	RetryAfter time.Duration
	// Status is what every request is answered with, unless it is 0.
	Status int
	// Slow is how long each answer takes.
	Slow time.Duration
	// Skew is how far the issuer's clock is ahead, in all that it says and checks:
	// the Date header, expiries, signed times.
	Skew time.Duration
	// ExpiredAtIssue makes it hand out tokens that expired an hour ago.
	ExpiredAtIssue bool
	// SameUntil makes it hand out the same token again until the token has no more
	// than this long to live. 0: each token is new.
	SameUntil time.Duration
	// Garbage says how an answer that should bring a token makes no sense.
	Garbage Garbage
	// Redirect is a URL that each request is redirected to (status 307).
	Redirect string
}

// Garbage is a kind of answer that makes no sense. Its status is 200.
type Garbage string

// The kinds. Write makes those of the first group; those of the second are the
// fake's, which knows its fields.
const (
	HTML Garbage = "html" // a page, as a captive portal or a proxy answers with
	Cut  Garbage = "cut"  // half of the right answer
	Void Garbage = "void" // an empty body
	Huge Garbage = "huge" // the right answer behind HugeSize bytes of space

	NoToken   Garbage = "no-token"   // the token's field is empty
	NoExpiry  Garbage = "no-expiry"  // the expiry's field is missing
	BadExpiry Garbage = "bad-expiry" // the expiry is no time: negative, or text
)

// HugeSize is how many bytes of space an answer of kind Huge begins with: more
// than any client should read.
const HugeSize = 4 << 20
