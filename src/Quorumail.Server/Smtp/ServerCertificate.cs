using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;

namespace Quorumail.Server.Smtp;

/// <summary>
/// The certificate of the SMTP listeners, from PEM files. The files are looked at again at intervals; when they have
/// changed, new handshakes use the new certificate. A pair that can't be read leaves the old one in use and is logged.
/// </summary>
public sealed partial class ServerCertificate : IDisposable
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(10);

    private readonly string _certificatePath;
    private readonly string _keyPath;
    private readonly ILogger _log;
    private readonly ITimer _timer;
    private volatile SslServerAuthenticationOptions _options;
    private (DateTime Certificate, DateTime Key) _stamps;

    /// <param name="certificatePath">PEM file of the certificate, its chain behind it.</param>
    /// <param name="keyPath">PEM file of the private key; the certificate's file if empty.</param>
    /// <param name="time">Paces the looks at the files.</param>
    /// <param name="log">Told when a certificate is loaded or can't be.</param>
    /// <exception cref="IOException">A file can't be read.</exception>
    /// <exception cref="CryptographicException">A file isn't what it should be, or the two don't belong together.</exception>
    public ServerCertificate(string certificatePath, string keyPath, TimeProvider time, ILogger log)
    {
        ArgumentException.ThrowIfNullOrEmpty(certificatePath);
        ArgumentNullException.ThrowIfNull(time);
        _certificatePath = certificatePath;
        _keyPath = string.IsNullOrEmpty(keyPath) ? certificatePath : keyPath;
        _log = log;
        _stamps = ReadStamps();
        _options = Load();
        _timer = time.CreateTimer(static state => ((ServerCertificate)state!).Refresh(), this, PollInterval, PollInterval);
    }

    /// <summary>What a handshake that begins now uses.</summary>
    public SslServerAuthenticationOptions Options => _options;

    /// <summary>Looks at the files now.</summary>
    public void Refresh()
    {
        try
        {
            var stamps = ReadStamps();
            if (stamps == _stamps)
            {
                return;
            }

            _options = Load();
            _stamps = stamps;
            LogReloaded(_log, _certificatePath);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or CryptographicException)
        {
            // Perhaps only one of the two files has been replaced so far: the next look decides.
            LogFailed(_log, _certificatePath, failure.Message);
        }
    }

    public void Dispose() => _timer.Dispose();

    private (DateTime Certificate, DateTime Key) ReadStamps() =>
        (File.GetLastWriteTimeUtc(_certificatePath), File.GetLastWriteTimeUtc(_keyPath));

    private SslServerAuthenticationOptions Load()
    {
        var pem = File.ReadAllText(_certificatePath);
        var certificate = X509Certificate2.CreateFromPem(pem, File.ReadAllText(_keyPath));
        var chain = new X509Certificate2Collection();
        chain.ImportFromPem(pem);
        return new SslServerAuthenticationOptions
        {
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            ServerCertificateContext = SslStreamCertificateContext.Create(certificate, chain, offline: true),
            AllowRenegotiation = false,
        };
    }

    [LoggerMessage(1, LogLevel.Information, "the certificate in {path} has changed and is used from now on")]
    private static partial void LogReloaded(ILogger log, string path);

    [LoggerMessage(2, LogLevel.Warning, "the certificate in {path} has changed but can't be used; the old one stays: {reason}")]
    private static partial void LogFailed(ILogger log, string path, string reason);
}
