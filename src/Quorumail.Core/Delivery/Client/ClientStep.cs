namespace Quorumail.Core.Delivery.Client;

/// <summary>What <see cref="SmtpClientSession"/> wants of its caller, after its output has been sent.</summary>
public enum ClientStep
{
    /// <summary>Bytes of the next hop.</summary>
    Receive = 0,

    /// <summary>A TLS handshake, after everything read so far has been thrown away.</summary>
    StartTls = 1,

    /// <summary>A transaction, or QUIT. If there was a transaction, its results are complete.</summary>
    Ready = 2,

    /// <summary>The message.</summary>
    SendBody = 3,

    /// <summary>The connection is to be closed. If there was a transaction, its results are complete.</summary>
    Close = 4,
}
