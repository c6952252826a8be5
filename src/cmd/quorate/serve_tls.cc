#include "cmd/quorate/serve_tls.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "net/self_signed.h"
#include "net/tls_ciphers.h"

namespace quorate::cmd {
namespace {

bool AnyTls(const std::vector<Url>& urls) {
  return std::any_of(urls.begin(), urls.end(), [](const Url& url) { return url.IsTls(); });
}

int VersionNumber(const std::string& text) { return text == "TLS1.3" ? 13 : text == "TLS1.2" ? 12 : 0; }

// No certificate has an empty name. In 3.4 an empty list restricts nobody, and `--peer-cert-allowed-cn=$CN`
// without a CN must not shut out all others when its member is replaced.
std::vector<std::string> AllowedNames(const std::vector<std::string>& given) {
  std::vector<std::string> names;
  std::copy_if(given.begin(), given.end(), std::back_inserter(names),
               [](const std::string& name) { return !name.empty(); });
  if (names.size() < given.size()) {
    constexpr char kText[] =
        "an empty name among the allowed common names or host names of certificates is ignored";
    if (names.empty()) {
      LOG_ERROR(kText, {"restricted", false});
    } else {
      LOG_WARN(kText, {"names-left", names});
    }
  }
  return names;
}

net::TlsSettings ToSettings(const TlsOptions& tls, const Options& options) {
  net::TlsSettings s;
  s.cert_file = tls.cert_file;
  s.key_file = tls.key_file;
  s.client_cert_file = tls.client_cert_file;
  s.client_key_file = tls.client_key_file;
  s.trusted_ca_file = tls.trusted_ca_file;
  s.crl_file = tls.crl_file;
  s.client_cert_auth = tls.client_cert_auth;
  s.allowed_common_names = AllowedNames(tls.allowed_cns);
  s.allowed_hostnames = AllowedNames(tls.allowed_hostnames);
  s.cipher_suites = options.cipher_suites;
  s.min_version = std::max(VersionNumber(options.tls_min_version), 12);
  s.max_version = VersionNumber(options.tls_max_version);
  return s;
}

// As the original writes it: names of files only.
std::string Describe(const net::TlsSettings& s) {
  return "cert = " + s.cert_file + ", key = " + s.key_file + ", client-cert=" + s.client_cert_file +
         ", client-key=" + s.client_key_file + ", trusted-ca = " + s.trusted_ca_file +
         ", client-cert-auth = " + (s.client_cert_auth ? "true" : "false") + ", crl-file = " + s.crl_file;
}

// A generated certificate replaces all other settings of its side, as in the original: who has it proves
// nothing to the others, which therefore don't verify it.
Status UseGenerated(const Options& options, const std::string& side, const std::vector<Url>& listen_urls,
                    net::TlsSettings* settings) {
  const std::string flag = side == "peer" ? "--peer-auto-tls" : "--auto-tls";
  if (!settings->empty()) {
    LOG_WARN("ignoring " + side + " auto TLS since certs given");
    return absl::OkStatus();
  }
  if (settings->client_cert_auth || !settings->trusted_ca_file.empty() || !settings->crl_file.empty() ||
      !settings->allowed_common_names.empty() || !settings->allowed_hostnames.empty()) {
    LOG_WARN(flag +
             " encrypts without authentication: client-cert-auth, trusted CA, CRL and allowed names of the " +
             side + " side are ignored; give --" + (side == "peer" ? "peer-" : "") +
             "cert-file and key-file to have them");
  }
  std::vector<std::string> hosts;
  for (const Url& url : listen_urls) {
    if (!url.IsUnix() || !url.port.empty()) hosts.push_back(url.HostPort());
  }
  const auto files = net::MakeSelfSigned(options.data_dir + "/fixtures/" + side, hosts,
                                         options.self_signed_cert_validity_years);
  if (!files.ok()) {
    return MakeStatus(files.status().code(), "failed to get " + side + " self-signed certs: " +
                                                 std::string(Message(files.status())));
  }
  net::TlsSettings generated;
  generated.cert_file = generated.client_cert_file = files->cert_file;
  generated.key_file = generated.client_key_file = files->key_file;
  generated.insecure_skip_verify = true;
  generated.cipher_suites = settings->cipher_suites;
  generated.min_version = settings->min_version;
  generated.max_version = settings->max_version;
  *settings = std::move(generated);
  return absl::OkStatus();
}

void WarnOfClearText(const std::vector<Url>& urls, const net::TlsSettings& settings,
                     const std::string& side) {
  const std::string flag = side == "peer" ? "--peer-client-cert-auth" : "--client-cert-auth";
  const std::string key = side + "-url";
  for (const Url& url : urls) {
    if (url.IsTls() || (side == "peer" && url.IsUnix())) continue;
    const std::string scheme = url.IsUnix() ? "scheme is unix while " : "scheme is HTTP while ";
    if (!settings.empty()) {
      LOG_WARN(scheme + "key and cert files are present; ignoring key and cert files", {key, url.String()});
    }
    if (settings.client_cert_auth) {
      LOG_WARN(scheme + flag + " is enabled; ignoring client cert auth for this URL", {key, url.String()});
    }
  }
}

Status CheckCiphers(const Options& options) {
  QUORATE_ASSIGN_OR_RETURN(const net::TlsCiphers ciphers, net::ParseCipherSuites(options.cipher_suites));
  if (ciphers.missing.empty()) return absl::OkStatus();
  LOG_WARN("ignored cipher suites that are too weak to be built into OpenSSL",
           {"cipher-suites", ciphers.missing});
  return absl::OkStatus();
}

StatusOr<std::shared_ptr<net::TlsListening>> Listening(const net::TlsSettings& settings,
                                                       std::string endpoint) {
  auto listening = std::make_shared<net::TlsListening>();
  QUORATE_ASSIGN_OR_RETURN(listening->context,
                           net::TlsContext::Make(net::TlsContext::Role::kServer, settings));
  listening->endpoint = std::move(endpoint);
  return listening;
}

Status MakePeerTls(const Options& options, ServerTls* tls) {
  net::TlsSettings& settings = tls->peer_settings;
  settings = ToSettings(options.peer_tls, options);
  if (options.peer_tls.auto_tls) {
    QUORATE_RETURN_IF_ERROR(UseGenerated(options, "peer", options.listen_peer_urls, &settings));
  }
  if (!settings.empty()) {
    LOG_INFO("starting with peer TLS", {"tls-info", Describe(settings)},
             {"cipher-suites", options.cipher_suites});
  }
  WarnOfClearText(options.listen_peer_urls, settings, "peer");
  for (const Url& url : options.listen_peer_urls) {
    if (!url.IsTls() || !settings.empty()) continue;
    return InvalidArgument("cannot listen on TLS for " + url.HostPort() +
                           ": KeyFile and CertFile are not presented");
  }
  QUORATE_ASSIGN_OR_RETURN(tls->to_peers, net::TlsContext::Make(net::TlsContext::Role::kClient, settings));
  if (!AnyTls(options.listen_peer_urls)) return absl::OkStatus();
  QUORATE_ASSIGN_OR_RETURN(const auto peers, Listening(settings, "peer"));
  peers->check_addresses = !options.peer_tls.skip_client_san_verification;
  tls->peers = peers;
  return absl::OkStatus();
}

Status MakeClientTls(const Options& options, ServerTls* tls) {
  net::TlsSettings& settings = tls->client_settings;
  settings = ToSettings(options.client_tls, options);
  std::vector<Url> urls = options.listen_client_urls;
  urls.insert(urls.end(), options.listen_client_http_urls.begin(), options.listen_client_http_urls.end());
  if (options.client_tls.auto_tls) {
    QUORATE_RETURN_IF_ERROR(UseGenerated(options, "client", urls, &settings));
  }
  WarnOfClearText(urls, settings, "client");
  for (const Url& url : urls) {
    if (!url.IsTls() || !settings.empty()) continue;
    return InvalidArgument("TLS key/cert (--cert-file, --key-file) must be provided for client url " +
                           url.String() + " with HTTPS scheme");
  }
  const bool metrics = AnyTls(options.listen_metrics_urls);
  if (metrics && settings.empty()) {
    return InvalidArgument(
        "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url");
  }
  if (!settings.empty()) {
    LOG_INFO("starting with client TLS", {"tls-info", Describe(settings)},
             {"cipher-suites", options.cipher_suites});
  }
  if (!metrics && !AnyTls(urls)) return absl::OkStatus();
  QUORATE_ASSIGN_OR_RETURN(const auto clients, Listening(settings, "client"));
  tls->clients = clients;
  // The same files; but as the original listens there, clients must come from where their certificates say.
  auto for_metrics = std::make_shared<net::TlsListening>(*clients);
  for_metrics->check_addresses = !options.client_tls.skip_client_san_verification;
  tls->metrics = for_metrics;
  return absl::OkStatus();
}

}  // namespace

Status ServerTls::ExpectPeerName(const std::string& name) {
  peer_settings.server_name = name;
  QUORATE_ASSIGN_OR_RETURN(to_peers, net::TlsContext::Make(net::TlsContext::Role::kClient, peer_settings));
  return absl::OkStatus();
}

StatusOr<ServerTls> MakeServerTls(const Options& options) {
  ServerTls tls;
  QUORATE_RETURN_IF_ERROR(CheckCiphers(options));
  QUORATE_RETURN_IF_ERROR(MakePeerTls(options, &tls));
  QUORATE_RETURN_IF_ERROR(MakeClientTls(options, &tls));
  return tls;
}

}  // namespace quorate::cmd
