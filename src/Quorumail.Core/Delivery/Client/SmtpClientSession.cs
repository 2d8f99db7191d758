using System.Buffers;

namespace Quorumail.Core.Delivery.Client;

/// <summary>
/// The delivering side of SMTP (RFC 5321) and LMTP (RFC 2033) as a plain object: the next hop's bytes go in, bytes to send and
/// the next step come out. It holds many transactions on one connection. The caller sends <see cref="Output"/> before it
/// follows <see cref="Step"/>, and gives the session's time-outs by <see cref="Stage"/>.
/// </summary>
/// <remarks>
/// The final dot is said by <see cref="EndBody"/> and by nothing else: the caller calls it only after the queue has accepted
/// the attempt. Not thread-safe.
/// </remarks>
public sealed class SmtpClientSession
{
    private readonly SmtpClientOptions _options;
    private readonly SmtpClientLimits _limits;
    private readonly ReplyParser _parser;
    private ClientAuthentication? _authentication;
    private TransactionProgress? _transaction;
    private DotStuffer _stuffer;
    private bool _needsReset;
    private bool _saidHelo;

    /// <summary>A session whose connection has just been made.</summary>
    public SmtpClientSession(SmtpClientOptions options, SmtpClientLimits limits)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(limits);
        _options = options;
        _limits = limits;
        _parser = new ReplyParser(limits);
        IsSecure = options.StartsSecure;
        Stage = ClientStage.Greeting;
    }

    /// <summary>What is to be done next.</summary>
    public ClientStep Step { get; private set; }

    /// <summary>What is under way; gives the time-out.</summary>
    public ClientStage Stage { get; private set; }

    /// <summary>Complete replies taken so far: each begins the time-out of what is waited for next.</summary>
    public int Replies { get; private set; }

    /// <summary>Bytes to send. The caller sends them and calls <see cref="ArrayBufferWriter{T}.ResetWrittenCount"/>.</summary>
    public ArrayBufferWriter<byte> Output { get; } = new(1024);

    /// <summary>What the next hop offers, as of its last EHLO.</summary>
    public EhloCapabilities Capabilities { get; private set; } = EhloCapabilities.None;

    /// <summary>Whether TLS stands.</summary>
    public bool IsSecure { get; private set; }

    /// <summary>Why <see cref="Step"/> is <see cref="ClientStep.Close"/>; null after QUIT.</summary>
    public ClientFailure? Failure { get; private set; }

    /// <summary>Whether nothing has come in that nobody asked for, so that the connection can be used again.</summary>
    public bool IsReusable => Step == ClientStep.Ready && !_parser.IsInsideReply;

    /// <summary>The host's name in its greeting, cut at 255 characters.</summary>
    public string PeerName { get; private set; } = string.Empty;

    /// <summary>
    /// One result a recipient of the latest transaction. Complete when the step is <see cref="ClientStep.Ready"/> or
    /// <see cref="ClientStep.Close"/>.
    /// </summary>
    public ReadOnlySpan<RecipientReply> Results => _transaction is null ? [] : _transaction.Results;

    /// <summary>Takes bytes of the next hop, cut anywhere.</summary>
    public void Receive(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty && Step != ClientStep.Close)
        {
            var status = _parser.Read(bytes, out var consumed, out var reply);
            bytes = bytes[consumed..];
            if (status == ReplyStatus.Incomplete)
            {
                return;
            }

            if (status == ReplyStatus.Malformed)
            {
                Fail("4.5.0", "the next hop does not speak SMTP: no valid reply", isPermanent: false);
                return;
            }

            OnReply(reply!);
            if (Step == ClientStep.StartTls)
            {
                // What came in the clear behind the 220 is thrown away (CVE-2011-0411).
                _parser.Reset();
                return;
            }
        }
    }

    /// <summary>The handshake that <see cref="ClientStep.StartTls"/> asked for has succeeded.</summary>
    public void TlsEstablished()
    {
        Invariant.Check(Step == ClientStep.StartTls, "a TLS handshake follows STARTTLS and nothing else");
        _parser.Reset();
        IsSecure = true;
        Capabilities = EhloCapabilities.None;
        SayHello();
    }

    /// <summary>Whether an address can be written into a command; what the receiving side accepts can.</summary>
    public static bool IsSafeAddress(string address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return EnvelopeCommands.IsSafe(address);
    }

    /// <summary>Whether the next hop can take a transaction, by what it offers.</summary>
    public TransactionObstacle ObstacleFor(ClientTransaction transaction)
    {
        ArgumentNullException.ThrowIfNull(transaction);
        if (!EnvelopeCommands.IsSafe(transaction.ReversePath))
        {
            return TransactionObstacle.UnsafeAddress;
        }

        for (var i = 0; i < transaction.Recipients.Count; i++)
        {
            if (!EnvelopeCommands.IsSafe(transaction.Recipients[i].Address))
            {
                return TransactionObstacle.UnsafeAddress;
            }
        }

        if (Capabilities.SizeMax > 0 && transaction.Size > Capabilities.SizeMax)
        {
            return TransactionObstacle.TooLarge;
        }

        if (!Capabilities.SmtpUtf8 && transaction.NeedsSmtpUtf8)
        {
            return TransactionObstacle.NeedsSmtpUtf8;
        }

        return !Capabilities.EightBitMime && transaction.NeedsEightBit
            ? TransactionObstacle.NeedsEightBit
            : TransactionObstacle.None;
    }

    /// <summary>Begins a transaction; the step must be <see cref="ClientStep.Ready"/>.</summary>
    /// <param name="transaction">One without an obstacle; octets above 127 without 8BITMIME are the caller's decision.</param>
    public void Begin(ClientTransaction transaction)
    {
        Invariant.Check(Step == ClientStep.Ready, "a transaction begins when the session is idle");
        Invariant.Check(
            transaction.Recipients.Count > 0 && transaction.Recipients.Count <= _limits.RecipientsMax,
            "a transaction has recipients, and not too many");
        Invariant.Check(
            ObstacleFor(transaction) is TransactionObstacle.None or TransactionObstacle.NeedsEightBit,
            "a transaction that the next hop can't take is not begun");
        _transaction = new TransactionProgress(transaction, _needsReset);
        _needsReset = false;
        _stuffer = default;
        Step = ClientStep.Receive;
        if (Capabilities.Pipelining)
        {
            while (!_transaction.AllSaid)
            {
                SayNext(_transaction);
            }
        }
        else
        {
            SayNext(_transaction);
        }

        Stage = _transaction.AwaitedStage;
    }

    /// <summary>Writes a piece of the message, dot-stuffed, to <see cref="Output"/>.</summary>
    /// <returns>False if it has a bare CR or LF: the session is over, without a final dot.</returns>
    public bool WriteBody(ReadOnlySpan<byte> piece)
    {
        Invariant.Check(Step == ClientStep.SendBody, "the message follows 354 and nothing else");
        return _stuffer.TryWrite(piece, Output) || RefuseLineEnds();
    }

    /// <summary>
    /// Writes the final dot. Only to be called when the queue has accepted the attempt: from here on the next hop may have the message.
    /// </summary>
    /// <returns>False if the message ends with a bare CR: the session is over, without a final dot.</returns>
    public bool EndBody()
    {
        Invariant.Check(Step == ClientStep.SendBody, "the final dot follows the message");
        if (!_stuffer.TryEndLine(Output))
        {
            return RefuseLineEnds();
        }

        Output.Write(".\r\n"u8);
        Stage = ClientStage.FinalDot;
        Step = ClientStep.Receive;
        return true;
    }

    /// <summary>Gives the transaction up before its final dot; there is no way but to close the connection.</summary>
    public void Abort(string reason)
    {
        Invariant.Check(Stage != ClientStage.FinalDot, "a transaction can't be given up after its final dot");
        Fail("4.3.0", reason, isPermanent: false);
    }

    /// <summary>Says QUIT; the step must be <see cref="ClientStep.Ready"/>.</summary>
    public void Quit()
    {
        Invariant.Check(Step == ClientStep.Ready, "QUIT is said when the session is idle");
        EnvelopeCommands.Write(Output, "QUIT\r\n");
        Stage = ClientStage.Quit;
        Step = ClientStep.Receive;
    }

    /// <summary>The connection has ended, or a time-out has passed. After the final dot that leaves recipients in doubt.</summary>
    /// <param name="enhancedCode">4.4.2 for a lost connection or a time-out.</param>
    /// <param name="reason">In printable ASCII.</param>
    public void ConnectionLost(string enhancedCode, string reason)
    {
        if (Step != ClientStep.Close)
        {
            Fail(enhancedCode, reason, isPermanent: false);
        }
    }

    private void OnReply(SmtpReply reply)
    {
        Replies++;
        switch (Stage)
        {
            case ClientStage.Greeting:
                OnGreeting(reply);
                break;
            case ClientStage.Hello:
                OnHello(reply);
                break;
            case ClientStage.StartTls:
                OnStartTls(reply);
                break;
            case ClientStage.Authentication:
                OnAuthentication(reply);
                break;
            case ClientStage.Reset or ClientStage.Mail or ClientStage.Recipient or ClientStage.Data:
                OnEnvelopeReply(reply, _transaction!);
                break;
            case ClientStage.Body:
                // Before the final dot nothing is to be said; a refusal is taken at its word.
                FailByReply(reply);
                break;
            case ClientStage.FinalDot:
                OnFinalReply(reply, _transaction!);
                break;
            case ClientStage.Quit:
                Step = ClientStep.Close;
                break;
            default:
                FailByReply(reply);
                break;
        }
    }

    private void OnGreeting(SmtpReply reply)
    {
        if (reply.Code != 220)
        {
            FailByReply(reply);
            return;
        }

        var name = reply.Lines[0];
        var end = name.IndexOf(' ', StringComparison.Ordinal);
        name = end < 0 ? name : name[..end];
        PeerName = name.Length <= 255 ? name : name[..255];
        SayHello();
    }

    private void SayHello() => Say(ClientStage.Hello, (_options.IsLmtp ? "LHLO " : "EHLO ") + _options.HelloName);

    private void OnHello(SmtpReply reply)
    {
        if (reply.IsPositive)
        {
            Capabilities = _saidHelo ? EhloCapabilities.None : EhloCapabilities.Parse(reply);
            AfterHello();
        }
        else if (reply.IsPermanent && !reply.ClosesConnection && !_saidHelo && !_options.IsLmtp)
        {
            // RFC 5321 3.2: a server that doesn't know EHLO may know HELO.
            _saidHelo = true;
            Say(ClientStage.Hello, "HELO " + _options.HelloName);
        }
        else
        {
            FailByReply(reply);
        }
    }

    private void AfterHello()
    {
        if (!IsSecure && (_options.TryTls || _options.RequireTls) && Capabilities.StartTls)
        {
            Say(ClientStage.StartTls, "STARTTLS");
        }
        else if (!IsSecure && _options.RequireTls)
        {
            Fail("4.7.4", "TLS is required but was not offered", isPermanent: false);
        }
        else
        {
            Authenticate();
        }
    }

    private void OnStartTls(SmtpReply reply)
    {
        if (reply.Code == 220)
        {
            Stage = ClientStage.TlsHandshake;
            Step = ClientStep.StartTls;
        }
        else if (_options.RequireTls)
        {
            Fail("4.7.4", "TLS is required but was refused: " + reply.Text, isPermanent: false);
        }
        else if (reply.ClosesConnection)
        {
            FailByReply(reply);
        }
        else
        {
            Authenticate();
        }
    }

    private void Authenticate()
    {
        if (_options.Credentials is null)
        {
            BecomeReady();
            return;
        }

        _authentication = ClientAuthentication.Begin(
            _options.Credentials, Capabilities, IsSecure || _options.AllowsClearCredentials, _options.ScramNonce, _limits);
        if (_authentication is null)
        {
            Fail("4.7.0", "no AUTH mechanism that is safe on this connection is offered", isPermanent: false);
        }
        else
        {
            Say(ClientStage.Authentication, _authentication.Command);
        }
    }

    private void OnAuthentication(SmtpReply reply)
    {
        if (reply.Code == 334)
        {
            if (_authentication!.Answer(reply) is { } answer)
            {
                Say(ClientStage.Authentication, answer);
            }
            else
            {
                Fail("4.7.8", "AUTH failed: the next hop asks on after the exchange was cancelled", isPermanent: false);
            }

            return;
        }

        if (reply.IsPositive)
        {
            _authentication!.ReadSuccess(reply);
            if (_authentication.MaySucceed)
            {
                BecomeReady();
                return;
            }
        }

        // A wrong password is the operator's mistake: mail waits for its correction and isn't bounced.
        Fail("4.7.8", "AUTH failed: " + reply.Text, isPermanent: false);
    }

    private void BecomeReady()
    {
        Stage = ClientStage.Idle;
        Step = ClientStep.Ready;
    }

    private void OnEnvelopeReply(SmtpReply reply, TransactionProgress transaction)
    {
        if (reply.ClosesConnection)
        {
            FailByReply(reply);
            return;
        }

        switch (transaction.OnReply(reply))
        {
            case TransactionTurn.Continue:
                if (!Capabilities.Pipelining)
                {
                    SayNext(transaction);
                }

                Stage = transaction.AwaitedStage;
                break;
            case TransactionTurn.SendBody:
                Stage = ClientStage.Body;
                Step = ClientStep.SendBody;
                break;
            case TransactionTurn.Ended:
                _needsReset = transaction.IsOpen;
                BecomeReady();
                break;
            default:
                Fail("4.5.0", "the next hop broke the protocol: " + reply.Text, isPermanent: false);
                break;
        }
    }

    private void OnFinalReply(SmtpReply reply, TransactionProgress transaction)
    {
        if (reply.IsIntermediate)
        {
            // Neither yes nor no: what became of the message is unknown.
            Fail("4.5.0", "the next hop broke the protocol: " + reply.Text, isPermanent: false);
            return;
        }

        var isComplete = transaction.OnFinalReply(reply, _options.IsLmtp);
        if (reply.ClosesConnection)
        {
            Fail(reply.StatusOrDefault, reply.Text, isPermanent: false);
        }
        else if (isComplete)
        {
            BecomeReady();
        }
    }

    private void SayNext(TransactionProgress transaction) => transaction.SayNext(Output, Capabilities);

    private void Say(ClientStage stage, string line)
    {
        EnvelopeCommands.Write(Output, line);
        Output.Write("\r\n"u8);
        Stage = stage;
        Step = ClientStep.Receive;
    }

    private void FailByReply(SmtpReply reply)
    {
        if (reply.IsPermanent || reply.IsTemporary)
        {
            Fail(reply.StatusOrDefault, reply.Text, reply.IsPermanent);
        }
        else
        {
            Fail("4.5.0", "the next hop broke the protocol: " + reply.Text, isPermanent: false);
        }
    }

    private bool RefuseLineEnds()
    {
        Fail("5.6.11", "the message holds a bare CR or LF", isPermanent: true);
        return false;
    }

    private void Fail(string enhancedCode, string reason, bool isPermanent)
    {
        if (reason.Length > SmtpReply.TextMax)
        {
            reason = reason[..SmtpReply.TextMax];
        }

        var failure = new ClientFailure(Stage, enhancedCode, reason, isPermanent);
        Failure = failure;
        Step = ClientStep.Close;
        if (Stage is >= ClientStage.Reset and <= ClientStage.FinalDot)
        {
            _transaction?.OnFailure(failure);
        }
    }
}
