#include "net/tls_certificate.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

namespace quorate::net {
namespace {

std::string_view View(const ASN1_STRING* s) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
          static_cast<size_t>(ASN1_STRING_length(s))};
}

std::string CommonName(const X509* certificate) {
  const X509_NAME* const subject = X509_get_subject_name(certificate);
  int last = -1;
  for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;) last = i;
  if (last < 0) return {};
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
  if (size < 0) return {};
  std::string name(reinterpret_cast<const char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  return name;
}

std::string AddressOf(std::string_view bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  const int family = bytes.size() == 4 ? AF_INET : AF_INET6;
  if (bytes.size() != 4 && bytes.size() != 16) return {};
  inet_ntop(family, bytes.data(), text, sizeof(text));
  return text;
}

std::string Lower(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

// Whether labels and characters are those of a host name; a pattern may begin with "*.".
bool IsHostName(std::string_view name, bool pattern) {
  if (!pattern && name.ends_with('.')) name.remove_suffix(1);
  if (name.empty()) return false;
  bool first = true;
  while (true) {
    const size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    if (label.empty()) return false;
    if (label != "*" || !pattern || !first) {
      for (size_t i = 0; i < label.size(); ++i) {
        const char c = label[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '_' && (c != '-' || i == 0)) return false;
      }
    }
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
    first = false;
  }
}

bool MatchesName(std::string_view pattern, std::string_view host) {
  if (!IsHostName(pattern, true) || !IsHostName(host, false)) {
    // As Go: odd names are compared as they are.
    return !pattern.empty() && pattern != "." && Lower(pattern) == Lower(host);
  }
  if (host.ends_with('.')) host.remove_suffix(1);
  const std::string p = Lower(pattern);
  const std::string h = Lower(host);
  if (!p.starts_with("*.")) return p == h;
  const size_t dot = h.find('.');
  return dot != std::string::npos && h.substr(dot) == p.substr(1);
}

std::string Join(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& item : list) out += (out.empty() ? "" : ", ") + item;
  return out;
}

}  // namespace

CertificateNames NamesOf(const X509* certificate) {
  CertificateNames names;
  names.common_name = CommonName(certificate);
  const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> list(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      &GENERAL_NAMES_free);
  for (int i = 0; list != nullptr && i < sk_GENERAL_NAME_num(list.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(list.get(), i);
    if (name->type == GEN_DNS) {
      names.dns_names.emplace_back(View(name->d.dNSName));
    } else if (name->type == GEN_IPADD) {
      std::string address = AddressOf(View(name->d.iPAddress));
      if (!address.empty()) names.ip_addresses.push_back(std::move(address));
    }
  }
  return names;
}

std::string CanonicalAddress(std::string_view text) {
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  const std::string plain(text.substr(0, text.find('%')));
  unsigned char bytes[16];
  if (inet_pton(AF_INET, plain.c_str(), bytes) == 1) return AddressOf({reinterpret_cast<char*>(bytes), 4});
  if (inet_pton(AF_INET6, plain.c_str(), bytes) != 1) return {};
  const std::string_view v6(reinterpret_cast<char*>(bytes), 16);
  const std::string_view mapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  return v6.starts_with(mapped) ? AddressOf(v6.substr(12)) : AddressOf(v6);
}

Status CheckHost(const CertificateNames& names, std::string_view host) {
  const std::string shown(host);
  if (const std::string address = CanonicalAddress(host); !address.empty()) {
    const auto& all = names.ip_addresses;
    if (std::find(all.begin(), all.end(), address) != all.end()) return absl::OkStatus();
    if (all.empty()) {
      return PermissionDenied("x509: cannot validate certificate for " + shown +
                              " because it doesn't contain any IP SANs");
    }
    return PermissionDenied("x509: certificate is valid for " + Join(all) + ", not " + shown);
  }
  for (const std::string& name : names.dns_names) {
    if (MatchesName(name, host)) return absl::OkStatus();
  }
  if (!names.has_alternative_names() && !names.common_name.empty()) {
    return PermissionDenied("x509: certificate relies on legacy Common Name field, use SANs instead");
  }
  if (names.dns_names.empty()) {
    return PermissionDenied("x509: certificate is not valid for any names, but wanted to match " + shown);
  }
  return PermissionDenied("x509: certificate is valid for " + Join(names.dns_names) + ", not " + shown);
}

}  // namespace quorate::net
