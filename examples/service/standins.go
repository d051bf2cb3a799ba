package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/keyless-go/identity/examples/service/internal/standins"
)

// useStandIns puts stand-ins in place of Azure, and says what to try.
func useStandIns(ctx context.Context, cfg *config, log *slog.Logger) (stop func(), err error) {
	azure, err := standins.Start(ctx)
	if err != nil {
		return nil, err
	}
	log.Info("on stand-ins: App Service's identity endpoint and Key Vault",
		"database", azure.DatabaseIs)
	cfg.vaultURL, cfg.vault = standins.VaultURL, azure.Vault
	cfg.databaseURL, cfg.dial = azure.DatabaseURL, azure.Dial
	if os.Getenv("LISTEN") == "" { // nobody else is to reach them
		cfg.listen = "127.0.0.1:8080"
	}
	if os.Getenv("LISTEN_ADMIN") == "" {
		cfg.listenAdmin = "127.0.0.1:8081"
	}
	log.Info("then try: curl -i http://" + cfg.listen + "/orders/1")
	log.Info("then try: curl -i http://" + cfg.listenAdmin + "/readyz, /identity, /metrics")
	return azure.Stop, nil
}
