using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;

namespace Quorumail.Cluster.Transport;

/// <summary>
/// The certificate of the cluster port, from PEM files, and whom it trusts. Both sides of a connection show one. With
/// a file of authorities a peer's certificate must come from one of them; without, it must be the very certificate
/// that this node uses or used before, or come from an authority that stands behind it in its file. Names in
/// certificates don't matter: peers prove the cluster's token besides, bound to the certificate. The files are looked
/// at again before handshakes; when they have changed, new connections use what is in them.
/// </summary>
public sealed partial class PortCertificate
{
    private static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(1);

    private readonly string _certificatePath;
    private readonly string _keyPath;
    private readonly string _authorityPath;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Lock _lock = new();
    private Material _material;
    private byte[]? _previous;
    private Stamps _stamps;
    private long _looked;

    /// <param name="certificatePath">PEM file: the certificate, then its issuers.</param>
    /// <param name="keyPath">PEM file of the private key; the certificate's file if empty.</param>
    /// <param name="authorityPath">PEM file of the authorities that peers' certificates come from; empty for none.</param>
    /// <param name="time">Spaces the looks at the files.</param>
    /// <param name="log">Told when a certificate is loaded again, or can't be.</param>
    /// <exception cref="IOException">A file can't be used; the message names it.</exception>
    public PortCertificate(string certificatePath, string keyPath, string authorityPath, TimeProvider time, ILogger log)
    {
        ArgumentException.ThrowIfNullOrEmpty(certificatePath);
        ArgumentNullException.ThrowIfNull(time);
        _certificatePath = certificatePath;
        _keyPath = string.IsNullOrEmpty(keyPath) ? certificatePath : keyPath;
        _authorityPath = authorityPath ?? "";
        _time = time;
        _log = log;
        _stamps = ReadStamps();
        _material = Load();
        _looked = time.GetTimestamp();
    }

    private sealed record Stamps(DateTime Certificate, DateTime Key, DateTime Authority);

    private sealed record Material(X509Certificate2 Leaf, SslStreamCertificateContext Context, X509Certificate2Collection Anchors, bool HasAuthority);

    /// <summary>What identifies a channel that was made with this certificate: SHA-256 of it (after RFC 5929, tls-server-end-point).</summary>
    public static byte[] ChannelOf(X509Certificate certificate)
    {
        ArgumentNullException.ThrowIfNull(certificate);
        return SHA256.HashData(certificate.GetRawCertData());
    }

    /// <summary>What the listening side of a handshake that begins now uses.</summary>
    public SslServerAuthenticationOptions Listening()
    {
        var material = Current();
        return new SslServerAuthenticationOptions
        {
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            ServerCertificateContext = material.Context,
            ClientCertificateRequired = true,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            RemoteCertificateValidationCallback = (_, certificate, chain, _) => IsTrusted(material, certificate, chain),
            AllowRenegotiation = false,
            AllowTlsResume = false,
        };
    }

    /// <summary>What the dialling side of a handshake that begins now uses.</summary>
    public SslClientAuthenticationOptions Dialling()
    {
        var material = Current();
        return new SslClientAuthenticationOptions
        {
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            TargetHost = "quorumail",
            ClientCertificateContext = material.Context,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            RemoteCertificateValidationCallback = (_, certificate, chain, _) => IsTrusted(material, certificate, chain),
            AllowRenegotiation = false,
            AllowTlsResume = false,
        };
    }

    private Material Current()
    {
        lock (_lock)
        {
            if (_time.GetElapsedTime(_looked) < LookInterval)
            {
                return _material;
            }

            _looked = _time.GetTimestamp();
            try
            {
                var stamps = ReadStamps();
                if (stamps == _stamps)
                {
                    return _material;
                }

                // A pair of which only one half has been replaced is looked at again when the other one changes.
                _stamps = stamps;
                var material = Load();
                _previous = _material.Leaf.RawData;
                _material = material;
                LogReloaded(_log, _certificatePath, material.Leaf.NotAfter);
            }
            catch (IOException failure)
            {
                LogFailed(_log, failure.Message);
            }

            return _material;
        }
    }

    private bool IsTrusted(Material material, X509Certificate? certificate, X509Chain? presented)
    {
        if (certificate is not X509Certificate2 peer)
        {
            return false;
        }

        if (!material.HasAuthority)
        {
            var previous = Volatile.Read(ref _previous);
            if (peer.RawDataMemory.Span.SequenceEqual(material.Leaf.RawData) || (previous is not null && peer.RawDataMemory.Span.SequenceEqual(previous)))
            {
                return true;
            }
        }

        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(material.Anchors);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        foreach (var element in presented?.ChainElements ?? Enumerable.Empty<X509ChainElement>())
        {
            chain.ChainPolicy.ExtraStore.Add(element.Certificate);
        }

        return chain.Build(peer);
    }

    private Stamps ReadStamps() => new(
        File.GetLastWriteTimeUtc(_certificatePath),
        File.GetLastWriteTimeUtc(_keyPath),
        _authorityPath.Length == 0 ? default : File.GetLastWriteTimeUtc(_authorityPath));

    private Material Load()
    {
        var pem = ReadFile(_certificatePath);
        var keyPem = string.Equals(_keyPath, _certificatePath, StringComparison.Ordinal) ? pem : ReadFile(_keyPath);
        var chain = Certificates(_certificatePath, pem);
        var leaf = LoadPair(pem, keyPem, chain[0]);
        chain.RemoveAt(0);
        var hasAuthority = _authorityPath.Length > 0;
        var anchors = hasAuthority ? Certificates(_authorityPath, ReadFile(_authorityPath)) : chain;
        return new Material(leaf, SslStreamCertificateContext.Create(leaf, chain, offline: true), anchors, hasAuthority);
    }

    private X509Certificate2 LoadPair(string pem, string keyPem, X509Certificate2 leaf)
    {
        if (!keyPem.Contains("PRIVATE KEY-----", StringComparison.Ordinal))
        {
            throw new IOException($"{_keyPath} has no private key in PEM form");
        }

        if (keyPem.Contains("BEGIN ENCRYPTED PRIVATE KEY-----", StringComparison.Ordinal))
        {
            throw new IOException($"the private key in {_keyPath} is encrypted; it must be readable without a password");
        }

        try
        {
            return X509Certificate2.CreateFromPem(pem, keyPem);
        }
        catch (Exception failure) when (failure is CryptographicException or ArgumentException)
        {
            throw new IOException($"the private key in {_keyPath} does not belong to the certificate in {_certificatePath} (of {leaf.Subject}), or can't be read: {failure.Message}", failure);
        }
    }

    private static X509Certificate2Collection Certificates(string path, string pem)
    {
        var certificates = new X509Certificate2Collection();
        try
        {
            certificates.ImportFromPem(pem);
        }
        catch (CryptographicException failure)
        {
            throw new IOException($"{path} has a certificate that can't be read: {failure.Message}", failure);
        }

        return certificates.Count > 0 ? certificates : throw new IOException($"{path} has no certificate in PEM form");
    }

    private static string ReadFile(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"{path} can't be read: {failure.Message}", failure);
        }
    }

    [LoggerMessage(LogLevel.Information, "the cluster certificate in {Path} has changed; new connections use it (valid to {NotAfter:u})")]
    private static partial void LogReloaded(ILogger log, string path, DateTime notAfter);

    [LoggerMessage(LogLevel.Warning, "the cluster certificate has changed but can't be used, the old one stays: {Reason}")]
    private static partial void LogFailed(ILogger log, string reason);
}
