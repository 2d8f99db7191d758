namespace Quorumail.Server.Configuration;

/// <summary><c>[tls]</c>: our certificate. Without one STARTTLS isn't offered and no listener can be a submission one.</summary>
public sealed record TlsOptions
{
    /// <summary>PEM file of the certificate, its chain behind it. Read again when it changes.</summary>
    public string Cert { get; init; } = "";

    /// <summary>PEM file of the private key.</summary>
    public string Key { get; init; } = "";

    /// <summary>Whether a certificate is configured.</summary>
    internal bool IsConfigured => Cert.Length > 0;
}
