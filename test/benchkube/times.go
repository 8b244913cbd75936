package main

import (
	"math"
	"slices"
	"time"
)

// median returns that of some times.
func median(times []time.Duration) time.Duration { return quantile(times, 50) }

// quantile returns the time that q of a hundred times do not exceed.
func quantile(times []time.Duration, q int) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[int(math.Ceil(float64(len(sorted)*q)/100))-1]
}

// ratio returns the median of the ratios of times that were measured in turns.
func ratio(times, floors []time.Duration) float64 {
	ratios := make([]float64, len(times))
	for i := range times {
		ratios[i] = float64(times[i]) / float64(floors[i])
	}
	slices.Sort(ratios)
	return ratios[(len(ratios)-1)/2]
}
