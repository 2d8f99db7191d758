using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Quorumail.Cluster.Tests.Transport;

/// <summary>Certificates made for a test, as PEM files.</summary>
internal static class TestCertificates
{
    // An authority's time must enclose that of what it issues.
    private static readonly DateTimeOffset From = DateTimeOffset.UtcNow.AddDays(-1);
    private static readonly DateTimeOffset To = From.AddDays(10);

    /// <summary>A certificate that is its own authority: writes <c>name.pem</c> and <c>name.key</c>.</summary>
    public static void SelfSigned(TemporaryDirectory directory, string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = Request(name, key, isAuthority: false).CreateSelfSigned(From, To);
        Write(directory, name, certificate, key);
    }

    /// <summary>An authority: writes <c>name.pem</c> and <c>name.key</c>.</summary>
    public static void Authority(TemporaryDirectory directory, string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = Request(name, key, isAuthority: true).CreateSelfSigned(From, To);
        Write(directory, name, certificate, key);
    }

    /// <summary>A certificate from an authority.</summary>
    public static void Issued(TemporaryDirectory directory, string name, string authority)
    {
        using var issuer = X509Certificate2.CreateFromPemFile(directory[authority + ".pem"], directory[authority + ".key"]);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = Request(name, key, isAuthority: false).Create(issuer, From, To, RandomNumberGenerator.GetBytes(8));
        Write(directory, name, certificate, key);
    }

    private static CertificateRequest Request(string name, ECDsa key, bool isAuthority)
    {
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(isAuthority, hasPathLengthConstraint: false, 0, critical: true));
        return request;
    }

    private static void Write(TemporaryDirectory directory, string name, X509Certificate2 certificate, ECDsa key)
    {
        File.WriteAllText(directory[name + ".pem"], certificate.ExportCertificatePem());
        File.WriteAllText(directory[name + ".key"], key.ExportPkcs8PrivateKeyPem());
    }
}
