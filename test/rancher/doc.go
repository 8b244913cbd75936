// Package rancher has the clients of Rancher's own maintainers use the fake of
// Rancher's API that regcred's target is tested with: so that the fake is no mirror of
// what regcred's client expects. It is a module of its own because nothing else needs
// their library.
package rancher
