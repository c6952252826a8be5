// From TlsOptions to gRPC's credentials.
#pragma once

#include <grpcpp/security/credentials.h>

#include <memory>

#include "base/status.h"
#include "quorate/client/options.h"

namespace quorate::client {

// Reads and checks the files, so that a wrong one is named now and not by a handshake that fails later. They
// are read again every few seconds by gRPC.
StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsCredentials(const TlsOptions& options);

}  // namespace quorate::client
