namespace Quorumail.Server.Smtp;

/// <summary>What a connection must wait for before its session can go on.</summary>
internal enum ConnectionPause
{
    NeedInput,
    Overflow,
    Discard,
    Restart,
    Commit,
    Limit,
    VerifyPassword,
    DelayRejection,
    StartTls,
    Close,
}

/// <summary>What a connection tells its session after the wait.</summary>
internal enum ConnectionAnswer
{
    None,
    MayStart,
    NotStored,
    Committed,
    NotCommitted,
    LeftOpen,
    Limited,
    PasswordRight,
    PasswordWrong,
    RejectionDelayed,
    TlsEstablished,
}
