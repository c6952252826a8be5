// TLS as the settings ask for it: what listeners and our own calls use. Source of the rules and texts:
// server/embed/etcd.go (configurePeerListeners, configureClientListeners), config.go (SelfCert).
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "cmd/quorate/options.h"
#include "net/tls_context.h"
#include "net/tls_door.h"

namespace quorate::cmd {

struct ServerTls {
  // With generated certificates filled in.
  net::TlsSettings client_settings;
  net::TlsSettings peer_settings;
  // Null where no URL asks for it.
  std::shared_ptr<const net::TlsListening> clients;
  std::shared_ptr<const net::TlsListening> metrics;
  std::shared_ptr<const net::TlsListening> peers;
  // For our calls to other members; never null.
  std::shared_ptr<net::TlsContext> to_peers;

  // From now on the peers' certificates must hold this name (DNS discovery).
  Status ExpectPeerName(const std::string& name);
};

// Reads all files, generates certificates where asked to, says in the log what is ignored.
StatusOr<ServerTls> MakeServerTls(const Options& options);

}  // namespace quorate::cmd
