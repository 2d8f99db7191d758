namespace Quorumail.Core.Smtp;

/// <summary>What the host must do next.</summary>
public enum SmtpStepKind
{
    /// <summary>Flush the replies written so far, read more, and call <see cref="SmtpSession.Next"/>.</summary>
    NeedInput = 0,

    /// <summary>Write <see cref="SmtpStep.Octets"/> and call <see cref="SmtpSession.Next"/>.</summary>
    Reply = 1,

    /// <summary>May <see cref="SmtpSession.ReversePath"/> send now? Answer by <see cref="SmtpSession.SenderChecked"/>.</summary>
    CheckSender = 2,

    /// <summary>Ask the directory about <see cref="SmtpSession.ForwardPath"/>; answer by <see cref="SmtpSession.RecipientResolved"/>.</summary>
    ResolveRecipient = 3,

    /// <summary>A message begins: answer by <see cref="SmtpSession.MessageStarted"/> or <see cref="SmtpSession.MessageRefused"/>.</summary>
    StartMessage = 4,

    /// <summary>Append <see cref="SmtpStep.Octets"/> to the message and call <see cref="SmtpSession.Next"/>.</summary>
    Body = 5,

    /// <summary>Throw the message's octets away: it won't be committed. Then call <see cref="SmtpSession.Next"/>.</summary>
    DiscardMessage = 6,

    /// <summary>
    /// Make the message and <see cref="SmtpSession.Envelope"/> durable; answer by <see cref="SmtpSession.MessageCommitted"/> or
    /// <see cref="SmtpSession.MessageNotCommitted"/>.
    /// </summary>
    CommitMessage = 7,

    /// <summary>Write and flush <see cref="SmtpStep.Octets"/>, drop all input read so far, do the handshake, then <see cref="SmtpSession.TlsEstablished"/>.</summary>
    StartTls = 8,

    /// <summary>Check <see cref="SmtpSession.ClaimedUser"/> and <see cref="SmtpSession.ClaimedPassword"/>; answer by <see cref="SmtpSession.PasswordVerified"/>.</summary>
    VerifyPassword = 9,

    /// <summary>Look up the hash of <see cref="SmtpSession.ClaimedUser"/>; answer by <see cref="SmtpSession.HashFound"/>.</summary>
    FindHash = 10,

    /// <summary>Write <see cref="SmtpStep.Octets"/>, flush and close.</summary>
    Close = 11,

    /// <summary>An authentication has failed: let the client wait, then <see cref="SmtpSession.RejectionDelayed"/>.</summary>
    DelayRejection = 12,
}

/// <summary>One step of a session. Its octets are valid until the session is called again.</summary>
public readonly ref struct SmtpStep
{
    internal SmtpStep(SmtpStepKind kind, ReadOnlySpan<byte> octets = default)
    {
        Kind = kind;
        Octets = octets;
    }

    /// <summary>What to do.</summary>
    public SmtpStepKind Kind { get; }

    /// <summary>A reply with its CRLF, or a part of the message; empty for other steps.</summary>
    public ReadOnlySpan<byte> Octets { get; }
}
