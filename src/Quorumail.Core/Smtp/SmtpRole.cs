namespace Quorumail.Core.Smtp;

/// <summary>What a listener is for.</summary>
public enum SmtpRole
{
    /// <summary>Mail from other servers: no AUTH; local and relay domains from anyone, any domain from trusted networks.</summary>
    Mx = 0,

    /// <summary>Mail from users (RFC 6409): TLS, then AUTH, always; adds Message-ID and Date where missing.</summary>
    Submission = 1,
}
