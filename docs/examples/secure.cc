// TLS and authentication. Usage: secure ENDPOINT CA-FILE CERT-FILE KEY-FILE USER PASSWORD
#include <iostream>

#include "quorate/client/client.h"

namespace qc = quorate::client;

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  // [secure]
  const auto client = qc::Client::Connect({
      .endpoints = {argv[1]},
      .tls = qc::TlsOptions{.ca_file = argv[2], .cert_file = argv[3], .key_file = argv[4]},
      .username = argv[5],
      .password = argv[6],
  });
  if (!client.ok()) {
    std::cerr << client.status() << "\n";
    return 1;
  }
  // [/secure]

  // [errors]
  const auto put = (*client)->kv().Put("secret/plan", "b");
  switch (qc::OutcomeOf(put.status())) {
    case qc::Outcome::kDone:
      std::cout << "written at revision " << put->header().revision() << "\n";
      break;
    case qc::Outcome::kNotDone:
      std::cout << "surely not written: " << put.status() << "\n";
      break;
    case qc::Outcome::kUnknown:
      std::cout << "perhaps written, read before writing again: " << put.status() << "\n";
      break;
  }
  // [/errors]
}
