package usercode

// Shielded runs code of the user's in a goroutine of its own and waits for it, however long it
// takes. Neither a panic in it nor a runtime.Goexit reaches the caller, which may be a goroutine in
// which nobody recovers. It reports whether the code has returned. What the code has panicked with
// is lost: fmt would call methods of that, too.
func Shielded(code func()) (returned bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		code()
		returned = true
	}()
	<-done
	return returned
}
