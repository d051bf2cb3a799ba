// Package retry says when a request for a token is tried again, and when no more.
//
// A host has [Rules], which its own file states, and the user's options change some of them
// ([Rules.With]). Each acquisition makes a [Schedule] of the rules. After each try that failed,
// [Schedule.Next] is told what has happened so far ([Past]) and returns the wait before the next
// try, or [Stop]. [Run] is the loop around the tries, and the one place where anything waits.
//
// The package decides by times, a status and a header. It sends nothing, and knows neither the
// hosts nor what their answers mean: that an answer was final is said by whoever has read it. All
// functions may be called by several goroutines at once; a Schedule belongs to one of them.
package retry
