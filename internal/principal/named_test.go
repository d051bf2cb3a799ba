package principal

import "testing"

func TestNamed(t *testing.T) {
	t.Parallel()
	const vm = "/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute/virtualMachines/vm"
	const id = "/subscriptions/s/resourcegroups/g/providers/" +
		"Microsoft.ManagedIdentity/userAssignedIdentities/Orders"
	for name, tt := range map[string]struct {
		claims string
		want   Names // the zero one for nobody
	}{
		"a user-assigned identity": {
			`{"oid":"o","appid":"a","tid":"t","xms_mirid":"` + id + `"}`,
			Names{ObjectID: "o", ClientID: "a", TenantID: "t", ResourceID: id, Name: "Orders"}},
		"a slash behind it": {`{"xms_mirid":"` + id + `/"}`,
			Names{ResourceID: id + "/", Name: "Orders"}},
		"what is below one": {`{"xms_mirid":"` + id + `/x/y"}`, Names{ResourceID: id + "/x/y"}},
		"a system-assigned identity": {`{"oid":"o","xms_mirid":"` + vm + `"}`,
			Names{ObjectID: "o", ResourceID: vm}},
		"a token of version 2":   {`{"azp":"a","tid":"t"}`, Names{ClientID: "a", TenantID: "t"}},
		"both versions at once":  {`{"appid":"a","azp":"b"}`, Names{ClientID: "a"}},
		"a person's first name":  {`{"upn":"u","preferred_username":"p","unique_name":"n"}`, Names{User: "u"}},
		"a person's second name": {`{"preferred_username":"p","unique_name":"n"}`, Names{User: "p"}},
		"a person's third name":  {`{"unique_name":"n"}`, Names{User: "n"}},
		"a tenant alone":         {`{"tid":"t"}`, Names{}},
		"nobody":                 {`{}`, Names{}},
		"no object":              {`["oid"]`, Names{}},
	} {
		got, ok := Named(jwtOf(tt.claims))
		if ok != (tt.want != Names{}) || ok && got != tt.want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, ok, tt.want)
		}
	}
	if _, ok := Named("opaque"); ok {
		t.Error("an opaque token names somebody")
	}
}
