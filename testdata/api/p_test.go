package p

func InTest() {}
