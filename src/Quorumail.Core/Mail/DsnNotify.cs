namespace Quorumail.Core.Mail;

/// <summary>Which notices a recipient's sender asked for (RFC 3461, NOTIFY). Without the parameter: <see cref="Unspecified"/>.</summary>
[Flags]
public enum DsnNotify
{
    /// <summary>No NOTIFY parameter: failure and delay notices are sent, success notices are not.</summary>
    Unspecified = 0,

    /// <summary>NOTIFY=NEVER: no notice whatever happens.</summary>
    Never = 1,

    /// <summary>NOTIFY=SUCCESS.</summary>
    Success = 2,

    /// <summary>NOTIFY=FAILURE.</summary>
    Failure = 4,

    /// <summary>NOTIFY=DELAY.</summary>
    Delay = 8,
}
