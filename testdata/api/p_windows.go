package p

func OnWindows() {}
