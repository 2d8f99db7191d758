namespace Quorumail.Core.Mail;

/// <summary>What a failure notice returns of the message (RFC 3461, RET).</summary>
public enum DsnReturn
{
    /// <summary>No RET parameter; treated as <see cref="Headers"/>.</summary>
    Unspecified = 0,

    /// <summary>RET=HDRS: the header section only.</summary>
    Headers = 1,

    /// <summary>RET=FULL: the whole message, up to the size limit for notices.</summary>
    Full = 2,
}
