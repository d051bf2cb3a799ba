package main

import "context"

func measureBehaviour(context.Context, bool, func(string)) (section, error)    { return section{}, nil }
func measureStall(context.Context, bool, func(string)) (section, error)        { return section{}, nil }
func measureDay(context.Context, bool, func(string)) (section, error)          { return section{}, nil }
func measureMemory(context.Context, bool, func(string)) (section, error)       { return section{}, nil }
func measureBinary(context.Context, bool, func(string)) (section, error)       { return section{}, nil }
