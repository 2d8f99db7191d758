using CsCheck;
using Quorumail.Core.Delivery.Client;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Tests.Delivery.Client;

public sealed class SmtpClientSessionTests
{
    private const string Rich =
        "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n";

    private const string Poor = "250 mx.example\r\n";

    private static readonly SmtpClientOptions Plain = new() { HelloName = "us.example", TryTls = false };

    private static ClientTransaction Mail(params string[] to) =>
        new("a@us.example", [.. to.Select(t => new EnvelopeRecipient(t))], 12, BodyTraits.None);

    private static SmtpClientSession New(SmtpClientOptions options) => new(options, SmtpClientLimits.Default);

    /// <summary>A peer that says yes to everything but what the overrides name (by the beginning of the command).</summary>
    private static Func<string, string?> Peer(string ehlo, params (string Command, string? Reply)[] overrides) => line =>
    {
        foreach (var (command, reply) in overrides)
        {
            if (line.StartsWith(command, StringComparison.Ordinal))
            {
                return reply;
            }
        }

        return line switch
        {
            _ when line.StartsWith("EHLO", StringComparison.Ordinal) || line.StartsWith("LHLO", StringComparison.Ordinal) => ehlo,
            "DATA" => "354 go on\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
    };

    private static (SmtpClientSession Session, SessionDriver Driver) Ready(
        string ehlo, SmtpClientOptions? options = null, params (string, string?)[] overrides)
    {
        var session = New(options ?? Plain);
        var driver = new SessionDriver(session, Peer(ehlo, overrides));
        driver.Greet();
        driver.Run();
        return (session, driver);
    }

    private static void Deliver(SmtpClientSession session, SessionDriver driver, ClientTransaction mail, string body = "hi\r\n.x\r\n")
    {
        session.Begin(mail);
        driver.Run();
        if (session.Step == ClientStep.SendBody)
        {
            Assert.True(session.WriteBody(System.Text.Encoding.UTF8.GetBytes(body)));
            Assert.True(session.EndBody());
            driver.Run();
        }
    }

    [Fact]
    public void A_pipelined_transaction_is_one_write_and_gives_the_message_reply_to_every_accepted_recipient()
    {
        var (session, driver) = Ready(Rich, null, ("RCPT TO:<no@", "550 5.1.1 unknown\r\n"), ("RCPT TO:<later@", "450 4.2.1 busy\r\n"));
        Assert.Equal(ClientStep.Ready, session.Step);
        session.Begin(Mail("b@x.example", "no@x.example", "later@x.example"));
        Assert.Equal(
            "MAIL FROM:<a@us.example> SIZE=12\r\nRCPT TO:<b@x.example>\r\nRCPT TO:<no@x.example>\r\nRCPT TO:<later@x.example>\r\nDATA\r\n",
            System.Text.Encoding.ASCII.GetString(session.Output.WrittenSpan));
        driver.Run();
        Assert.Equal(ClientStep.SendBody, session.Step);
        Assert.True(session.WriteBody("hi\r\n.x\r\n"u8));
        Assert.True(session.EndBody());
        driver.Run();
        Assert.Equal(ClientStep.Ready, session.Step);
        Assert.Equal(
            [RecipientVerdict.Delivered, RecipientVerdict.Permanent, RecipientVerdict.Temporary],
            session.Results.ToArray().Select(r => r.Verdict));
        Assert.Equal("250 2.0.0 taken", session.Results[0].Text);
        Assert.Equal("5.1.1", session.Results[1].EnhancedCode);
        Assert.Equal(["hi", "..x", "."], driver.Said[^3..]);
    }

    [Fact]
    public void Without_pipelining_each_command_waits_for_its_reply_and_no_parameter_is_given()
    {
        var (session, driver) = Ready(Poor);
        session.Begin(Mail("b@x.example"));
        Assert.Equal("MAIL FROM:<a@us.example>\r\n", System.Text.Encoding.ASCII.GetString(session.Output.WrittenSpan));
        driver.Run();
        Assert.Equal(ClientStep.SendBody, session.Step);
    }

    [Fact]
    public void Parameters_are_given_as_offered()
    {
        var (session, driver) = Ready(Rich);
        session.Begin(new ClientTransaction(
            "a@us.example",
            [new("b@x.example", DsnNotify.Success | DsnNotify.Failure, "rfc822;c+40x.example"), new("é@x.example", DsnNotify.Never)],
            99, BodyTraits.EightBit, DsnReturn.Headers, "id+2B1"));
        driver.Run();
        Assert.Equal("MAIL FROM:<a@us.example> SIZE=99 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id+2B1", driver.Said[1]);
        Assert.Equal("RCPT TO:<b@x.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;c+40x.example", driver.Said[2]);
        Assert.EndsWith("NOTIFY=NEVER", driver.Said[3], StringComparison.Ordinal);
    }

    [Fact]
    public void An_envelope_parameter_that_would_break_the_line_is_left_out()
    {
        var (session, driver) = Ready(Rich);
        session.Begin(new ClientTransaction(
            "", [new("b@x.example", OriginalRecipient: "rfc822;a\r\nRCPT TO:<evil@x>")], 1, BodyTraits.None, EnvelopeId: "a b"));
        driver.Run();
        Assert.Equal(["EHLO us.example", "MAIL FROM:<> SIZE=1", "RCPT TO:<b@x.example>", "DATA"], driver.Said);
    }

    [Theory]
    [InlineData("a\r\nRCPT TO:<x>@x.example")]
    [InlineData("a>b@x.example")]
    [InlineData("a b@x.example")]
    [InlineData("\"a@x.example")]
    [InlineData("a\0@x.example")]
    public void An_address_that_would_break_the_command_is_an_obstacle(string address)
    {
        var (session, _) = Ready(Rich);
        Assert.Equal(TransactionObstacle.UnsafeAddress, session.ObstacleFor(Mail(address)));
        Assert.Throws<InvariantViolationException>(() => session.Begin(Mail(address)));
    }

    [Theory]
    [InlineData("a@x.example")]
    [InlineData("\"a b\"@x.example")]
    [InlineData("\"a\\\"<b\"@[192.0.2.1]")]
    [InlineData("")]
    public void A_sound_address_is_no_obstacle(string address) =>
        Assert.Equal(TransactionObstacle.None, Ready(Rich).Session.ObstacleFor(Mail(address)));

    [Fact]
    public void What_the_next_hop_cannot_take_is_seen_before_anything_is_said()
    {
        var rich = Ready(Rich).Session;
        var poor = Ready(Poor).Session;
        var mail = Mail("b@x.example");
        Assert.Equal(TransactionObstacle.TooLarge, rich.ObstacleFor(mail with { Size = 1000001 }));
        Assert.Equal(TransactionObstacle.None, rich.ObstacleFor(mail with { Size = 1000000, Traits = BodyTraits.EightBitHeaders }));
        Assert.Equal(TransactionObstacle.NeedsEightBit, poor.ObstacleFor(mail with { Traits = BodyTraits.EightBit }));
        Assert.Equal(TransactionObstacle.NeedsSmtpUtf8, poor.ObstacleFor(mail with { Traits = BodyTraits.EightBitHeaders }));
        Assert.Equal(TransactionObstacle.NeedsSmtpUtf8, poor.ObstacleFor(Mail("é@x.example")));
        Assert.Equal(TransactionObstacle.None, poor.ObstacleFor(mail with { Traits = BodyTraits.DeclaredSmtpUtf8 }));
    }

    [Fact]
    public void A_connection_is_used_again_without_RSET_after_a_message_and_with_it_after_a_refusal()
    {
        var (session, driver) = Ready(Rich, null, ("RCPT TO:<no@", "550 no\r\n"), ("DATA", null));
        var polite = new SessionDriver(session, Peer(Rich));
        Deliver(session, polite, Mail("b@x.example"));
        Deliver(session, polite, Mail("c@x.example"));
        Assert.DoesNotContain("RSET", polite.Said);

        var refusing = new SessionDriver(session, Peer(Rich, ("RCPT", "550 no\r\n"), ("DATA", "554 no recipients\r\n")));
        Deliver(session, refusing, Mail("d@x.example"));
        Assert.Equal(RecipientVerdict.Permanent, session.Results[0].Verdict);
        Assert.Equal(ClientStage.Recipient, session.Results[0].Stage);
        Deliver(session, polite, Mail("e@x.example"));
        Assert.Single(polite.Said, "RSET");
        Assert.Equal(RecipientVerdict.Delivered, session.Results[0].Verdict);
        Assert.Same(driver, driver);
    }

    [Fact]
    public void DATA_granted_without_a_recipient_ends_the_connection_without_a_dot()
    {
        var (session, driver) = Ready(Rich, null, ("RCPT", "550 no\r\n"));
        Deliver(session, driver, Mail("b@x.example"));
        Assert.Equal(ClientStep.Close, session.Step);
        Assert.Equal(RecipientVerdict.Permanent, session.Results[0].Verdict);
        Assert.DoesNotContain(".", driver.Said);
    }

    [Theory]
    [InlineData("MAIL", "550 5.7.1 no\r\n", RecipientVerdict.Permanent, ClientStage.Mail)]
    [InlineData("MAIL", "451 4.7.1 later\r\n", RecipientVerdict.Temporary, ClientStage.Mail)]
    [InlineData("RCPT", "550 5.1.1 no\r\n", RecipientVerdict.Permanent, ClientStage.Recipient)]
    [InlineData("RCPT", "552 5.5.3 too many\r\n", RecipientVerdict.Temporary, ClientStage.Recipient)]
    [InlineData("RCPT", "450 4.2.0 later\r\n", RecipientVerdict.Temporary, ClientStage.Recipient)]
    [InlineData("DATA", "554 5.0.0 no\r\n", RecipientVerdict.Permanent, ClientStage.Data)]
    [InlineData("DATA", "451 4.3.0 later\r\n", RecipientVerdict.Temporary, ClientStage.Data)]
    [InlineData("MAIL", "421 4.3.2 closing\r\n", RecipientVerdict.Unanswered, ClientStage.Mail)]
    [InlineData("DATA", "250 what\r\n", RecipientVerdict.Unanswered, ClientStage.Data)]
    [InlineData("DATA", "garbage\r\n", RecipientVerdict.Unanswered, ClientStage.Data)]
    public void A_refusal_counts_for_what_it_says_pipelined_or_not(
        string command, string reply, RecipientVerdict verdict, ClientStage stage)
    {
        foreach (var ehlo in new[] { Rich, Poor })
        {
            var refusals = command == "DATA"
                ? new (string, string?)[] { (command, reply) }
                : [(command, reply), ("DATA", "503 5.5.1 no\r\n")];
            var (session, driver) = Ready(ehlo, null, refusals);
            Deliver(session, driver, Mail("b@x.example"));
            Assert.Equal(verdict, session.Results[0].Verdict);
            Assert.Equal(stage, session.Results[0].Stage);
            Assert.DoesNotContain(".", driver.Said);
            Assert.NotEqual("5", verdict == RecipientVerdict.Temporary ? session.Results[0].EnhancedCode[..1] : "");
        }
    }

    [Theory]
    [InlineData("550 5.6.0 spam\r\n", RecipientVerdict.Permanent)]
    [InlineData("451 4.3.0 later\r\n", RecipientVerdict.Temporary)]
    [InlineData("421 4.3.0 closing\r\n", RecipientVerdict.Temporary)]
    [InlineData("354 again\r\n", RecipientVerdict.InDoubt)]
    [InlineData("nonsense\r\n", RecipientVerdict.InDoubt)]
    public void The_reply_to_the_dot_decides(string reply, RecipientVerdict verdict)
    {
        var (session, driver) = Ready(Rich);
        driver.DotAnswer = reply;
        Deliver(session, driver, Mail("b@x.example", "c@x.example"));
        Assert.All(session.Results.ToArray(), r => Assert.Equal(verdict, r.Verdict));
    }

    [Fact]
    public void No_reply_to_the_dot_is_a_doubt_and_no_reply_before_it_is_none()
    {
        var (session, driver) = Ready(Rich, null, ("RCPT TO:<no@", "550 no\r\n"));
        driver.DotAnswer = "";
        Deliver(session, driver, Mail("b@x.example", "no@x.example"));
        session.ConnectionLost("4.4.2", "connection lost");
        Assert.Equal(
            [RecipientVerdict.InDoubt, RecipientVerdict.Permanent], session.Results.ToArray().Select(r => r.Verdict));

        (session, driver) = Ready(Rich);
        session.Begin(Mail("b@x.example"));
        driver.Run();
        Assert.True(session.WriteBody("hi\r\n"u8));
        session.ConnectionLost("4.4.2", "connection lost");
        Assert.Equal(RecipientVerdict.Unanswered, session.Results[0].Verdict);
        Assert.Equal(ClientStep.Close, session.Step);
    }

    [Fact]
    public void A_bare_line_end_in_the_message_never_reaches_the_wire_and_gets_no_dot()
    {
        var (session, driver) = Ready(Rich);
        session.Begin(Mail("b@x.example"));
        driver.Run();
        Assert.False(session.WriteBody("a\n.\nMAIL FROM:<evil@x>\r\n"u8));
        Assert.Equal(ClientStep.Close, session.Step);
        Assert.Equal(RecipientVerdict.Permanent, session.Results[0].Verdict);
        Assert.Equal("5.6.11", session.Results[0].EnhancedCode);
        Assert.Equal(0, session.Output.WrittenCount);
    }

    [Fact]
    public void LMTP_gives_each_accepted_recipient_its_own_reply()
    {
        var (session, driver) = Ready(Rich, Plain with { IsLmtp = true }, ("RCPT TO:<no@", "550 5.1.1 no\r\n"));
        Assert.Equal("LHLO us.example", driver.Said[0]);
        driver.DotAnswer = "250 2.0.0 one\r\n452 4.2.2 full\r\n550 5.2.1 off\r\n";
        Deliver(session, driver, Mail("a@x", "no@x", "b@x", "c@x"));
        Assert.Equal(
            [RecipientVerdict.Delivered, RecipientVerdict.Permanent, RecipientVerdict.Temporary, RecipientVerdict.Permanent],
            session.Results.ToArray().Select(r => r.Verdict));
        Assert.Equal("5.1.1", session.Results[1].EnhancedCode);
        Assert.Equal("5.2.1", session.Results[3].EnhancedCode);
        Assert.Equal(ClientStep.Ready, session.Step);
    }

    [Fact]
    public void LMTP_that_breaks_off_leaves_only_the_unanswered_in_doubt()
    {
        var (session, driver) = Ready(Rich, Plain with { IsLmtp = true });
        driver.DotAnswer = "250 2.0.0 one\r\n";
        Deliver(session, driver, Mail("a@x", "b@x"));
        session.ConnectionLost("4.4.2", "gone");
        Assert.Equal([RecipientVerdict.Delivered, RecipientVerdict.InDoubt], session.Results.ToArray().Select(r => r.Verdict));
    }

    [Fact]
    public void A_server_without_EHLO_is_greeted_by_HELO()
    {
        var (session, driver) = Ready("502 5.5.1 what\r\n");
        Assert.Equal(["EHLO us.example", "HELO us.example"], driver.Said);
        Assert.Equal(ClientStep.Ready, session.Step);
        Assert.Equal(EhloCapabilities.None, session.Capabilities);
    }

    [Theory]
    [InlineData("421 4.3.2 closing\r\n", false)]
    [InlineData("450 4.3.2 later\r\n", false)]
    [InlineData("554 5.3.2 no service\r\n", true)]
    [InlineData("250 strange\r\n", false)]
    [InlineData("SSH-2.0-OpenSSH\r\n", false)]
    public void A_bad_greeting_ends_the_session(string greeting, bool permanent)
    {
        var session = New(Plain);
        new SessionDriver(session, Peer(Rich)).Greet(greeting);
        Assert.Equal(ClientStep.Close, session.Step);
        Assert.Equal(permanent, session.Failure!.IsPermanent);
        Assert.Equal(ClientStage.Greeting, session.Failure.Stage);
    }

    [Fact]
    public void STARTTLS_is_used_when_offered_and_everything_learned_before_is_forgotten()
    {
        var ehlo = Rich.Replace("250 ENH", "250-STARTTLS\r\n250 ENH", StringComparison.Ordinal);
        var (session, driver) = Ready(ehlo, Plain with { TryTls = true }, ("STARTTLS", "220 go\r\n250-injected\r\n250 STARTTLS\r\n"));
        Assert.Equal(ClientStep.StartTls, session.Step);
        session.TlsEstablished();
        Assert.Equal(EhloCapabilities.None, session.Capabilities);
        driver.Run();
        Assert.Equal(["EHLO us.example", "STARTTLS", "EHLO us.example"], driver.Said);
        Assert.Equal(ClientStep.Ready, session.Step);
        Assert.True(session.IsSecure);
        Assert.True(session.Capabilities.Pipelining);
    }

    [Theory]
    [InlineData(Rich, "220 go\r\n")]
    [InlineData("250-mx\r\n250 STARTTLS\r\n", "454 4.7.0 not now\r\n")]
    [InlineData("250-mx\r\n250 STARTTLS\r\n", "501 5.5.4 no\r\n")]
    [InlineData("502 no\r\n", "220 go\r\n")]
    public void Without_TLS_no_mail_where_TLS_is_required(string ehlo, string startTls)
    {
        var (session, driver) = Ready(ehlo, Plain with { RequireTls = true }, ("STARTTLS", startTls));
        Assert.Equal(ClientStep.Close, session.Step);
        Assert.False(session.Failure!.IsPermanent);
        Assert.Equal("4.7.4", session.Failure.EnhancedCode);
        Assert.DoesNotContain(driver.Said, line => line.StartsWith("MAIL", StringComparison.Ordinal));
    }

    [Fact]
    public void Without_TLS_mail_goes_in_the_clear_where_TLS_is_optional()
    {
        var (session, _) = Ready("250-mx\r\n250 STARTTLS\r\n", Plain with { TryTls = true }, ("STARTTLS", "454 no\r\n"));
        Assert.Equal(ClientStep.Ready, session.Step);
        Assert.False(session.IsSecure);
    }

    [Theory]
    [InlineData("PLAIN LOGIN", "AUTH PLAIN AHVzZXIAc2VjcmV0")]
    [InlineData("LOGIN", "AUTH LOGIN|dXNlcg==|c2VjcmV0")]
    public void AUTH_goes_out_on_a_safe_connection(string mechanisms, string expected)
    {
        var options = Plain with { Credentials = new("user", "secret"), StartsSecure = true };
        var (session, driver) = Ready(
            $"250-mx\r\n250 AUTH {mechanisms}\r\n", options,
            ("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n"), ("dXNlcg==", "334 UGFzc3dvcmQ6\r\n"), ("c2VjcmV0", "235 2.7.0 ok\r\n"), ("AUTH PLAIN", "235 ok\r\n"));
        Assert.Equal(expected.Split('|'), driver.Said[1..]);
        Assert.Equal(ClientStep.Ready, session.Step);
    }

    [Theory]
    [InlineData("PLAIN LOGIN", "235 ok\r\n")]
    [InlineData("", "235 ok\r\n")]
    public void A_password_never_goes_out_in_the_clear(string mechanisms, string reply)
    {
        var options = Plain with { Credentials = new("user", "secret") };
        var (session, driver) = Ready($"250-mx\r\n250 AUTH {mechanisms}\r\n", options, ("AUTH", reply));
        Assert.Single(driver.Said);
        Assert.False(session.Failure!.IsPermanent);
    }

    [Theory]
    [InlineData("PLAIN")]
    [InlineData("LOGIN")]
    [InlineData("SCRAM-SHA-256")]
    public void A_next_hop_that_asks_on_and_on_is_given_up(string mechanism)
    {
        var options = Plain with { Credentials = new("user", "secret"), StartsSecure = true, ScramNonce = "rOprNGfwEbeRWgbNEkqO" };
        var challenges = 20;
        var session = New(options);
        var driver = new SessionDriver(session, line => line.StartsWith("EHLO", StringComparison.Ordinal) ? $"250-mx\r\n250 AUTH {mechanism}\r\n"
            : challenges-- > 0 ? "334 VXNlcm5hbWU6\r\n" : null);
        driver.Greet();
        driver.Run();
        Assert.Equal((ClientStep.Close, "4.7.8", false), (session.Step, session.Failure!.EnhancedCode, session.Failure.IsPermanent));
        Assert.Equal("*", driver.Said[^1]);
    }

    [Fact]
    public void A_wrong_password_defers_and_does_not_bounce()
    {
        var options = Plain with { Credentials = new("user", "secret"), StartsSecure = true };
        var (session, _) = Ready("250-mx\r\n250 AUTH PLAIN\r\n", options, ("AUTH", "535 5.7.8 wrong\r\n"));
        Assert.Equal(ClientStep.Close, session.Step);
        Assert.False(session.Failure!.IsPermanent);
    }

    [Fact]
    public void SCRAM_follows_the_example_of_RFC_7677_and_the_server_has_to_prove_itself()
    {
        var scram = new ScramExchange(new("user", "pencil"), "rOprNGfwEbeRWgbNEkqO", 4096);
        Assert.Equal("n,,n=user,r=rOprNGfwEbeRWgbNEkqO", scram.First);
        Assert.Equal(
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            scram.Final("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
        Assert.True(scram.Verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        Assert.False(scram.Verify("v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    }

    [Theory]
    [InlineData("r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")]
    [InlineData("r=nonce,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")]
    [InlineData("r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2000000000")]
    [InlineData("r=nonceX,s=%%,i=4096")]
    [InlineData("")]
    public void A_SCRAM_server_that_asks_for_nonsense_is_not_answered(string serverFirst) =>
        Assert.Null(new ScramExchange(new("user", "pencil"), "nonce", 500_000).Final(serverFirst));

    [Fact]
    public void A_SCRAM_server_that_skips_its_proof_is_not_believed()
    {
        var options = Plain with { Credentials = new("user", "pencil"), ScramNonce = "abc" };
        var (session, _) = Ready("250-mx\r\n250 AUTH SCRAM-SHA-256\r\n", options, ("AUTH", "235 2.7.0 welcome\r\n"));
        Assert.Equal(ClientStep.Close, session.Step);
    }

    [Fact]
    public void What_comes_unasked_makes_the_connection_unusable_but_not_the_result()
    {
        var (session, driver) = Ready(Rich);
        driver.DotAnswer = "250 taken\r\n250 and more\r\n";
        Deliver(session, driver, Mail("b@x"));
        Assert.Equal(RecipientVerdict.Delivered, session.Results[0].Verdict);
        Assert.False(session.IsReusable);

        (session, driver) = Ready(Rich);
        driver.DotAnswer = "250 taken\r\n25";
        Deliver(session, driver, Mail("b@x"));
        Assert.Equal(ClientStep.Ready, session.Step);
        Assert.False(session.IsReusable);
    }

    private static readonly Gen<string> AnyReply = Gen.OneOf(
        "250 ok\r\n", "250-a\r\n250 b\r\n", "354 go\r\n", "450 no\r\n", "550 5.1.1 no\r\n", "421 bye\r\n", "220 x\r\n", "334 \r\n", "x\r\n", "250",
        Rich, Poor, "250-mx\r\n250-STARTTLS\r\n250 PIPELINING\r\n", "235 ok\r\n");

    [Fact]
    public void Whatever_the_next_hop_says_and_however_it_is_cut_the_steps_are_the_same_and_no_bare_line_end_is_sent() =>
        Gen.Select(AnyReply.Array[1, 14], Gen.Int[1, 12], Gen.Bool, Gen.Bool).Sample((replies, piece, lmtp, sane) =>
        {
            var whole = Play(replies, int.MaxValue, lmtp, sane);
            Assert.Equal(whole, Play(replies, piece, lmtp, sane));
            var bare = whole.Wire.Replace("\r\n", "", StringComparison.Ordinal);
            Assert.DoesNotContain('\n', bare);
            Assert.DoesNotContain('\r', bare);
        });

    private static (string Wire, string Steps, string Results) Play(string[] replies, int piece, bool lmtp, bool sane)
    {
        var next = 0;
        var session = New(Plain with { IsLmtp = lmtp, TryTls = true });
        string? Reply() => next < replies.Length ? replies[next++] : null;
        var driver = new SessionDriver(session, line => sane && line.StartsWith("EHLO", StringComparison.Ordinal) ? Rich : Reply(), piece);
        driver.DotAnswer = Reply() ?? "";
        driver.Greet(sane ? "220 mx\r\n" : Reply() ?? "");
        var results = "";
        for (var turn = 0; turn < 6 && session.Step != ClientStep.Close; turn++)
        {
            driver.Run();
            switch (session.Step)
            {
                case ClientStep.StartTls:
                    session.TlsEstablished();
                    break;
                case ClientStep.Ready:
                    session.Begin(Mail("a@x", "b@x"));
                    break;
                case ClientStep.SendBody:
                    Assert.True(session.WriteBody(".x\r\n..\r\n"u8) && session.EndBody());
                    break;
            }
        }

        foreach (var result in session.Results)
        {
            results += result;
        }

        return (driver.Wire.ToString(), string.Join('|', driver.Steps.Where(s => !s.StartsWith("Receive", StringComparison.Ordinal))), results);
    }
}
