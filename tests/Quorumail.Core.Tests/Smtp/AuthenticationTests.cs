using System.Security.Cryptography;
using System.Text;
using Quorumail.Core.Smtp;
using Quorumail.Core.Smtp.Authentication;

namespace Quorumail.Core.Tests.Smtp;

public sealed class AuthenticationTests
{
    private static readonly PasswordHash Hash = PasswordHash.Create("pencil", "0123456789abcdef"u8, PasswordHash.IterationsMin);

    private static SessionHost Ready() => new SessionHost(SmtpRole.Submission, hasTls: true)
    {
        FindHash = name => string.Equals(name, "user", StringComparison.Ordinal) ? Hash : null,
    }.Line("EHLO x");

    private static string Encode(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));

    [Fact]
    public void Submission_asks_for_TLS_then_AUTH()
    {
        var host = new SessionHost(SmtpRole.Submission).Line("EHLO x");
        Assert.DoesNotContain("AUTH", host.Output.ToString(), StringComparison.Ordinal);
        Assert.StartsWith("530 5.7.0", host.Ask("MAIL FROM:<a@b>"), StringComparison.Ordinal);
        Assert.StartsWith("538 5.7.11", host.Ask("AUTH PLAIN " + Encode("\0user\0pencil")), StringComparison.Ordinal);
        host.Line("STARTTLS");
        Assert.Contains("AUTH PLAIN LOGIN SCRAM-SHA-256", host.Ask("EHLO x"), StringComparison.Ordinal);
        Assert.StartsWith("530 5.7.0 Authentication", host.Ask("MAIL FROM:<a@b>"), StringComparison.Ordinal);
    }

    [Fact]
    public void PLAIN_with_and_without_an_initial_response()
    {
        Assert.StartsWith("235 2.7.0", Ready().Ask("AUTH PLAIN " + Encode("\0user\0pencil")), StringComparison.Ordinal);
        Assert.StartsWith("235 2.7.0", Ready().Ask("AUTH PLAIN " + Encode("user\0user\0pencil")), StringComparison.Ordinal);
        var host = Ready();
        Assert.Equal("334", host.Ask("auth plain"));
        Assert.StartsWith("235 2.7.0", host.Ask(Encode("\0user\0pencil")), StringComparison.Ordinal);
        Assert.Equal("user", host.Session.User);
        Assert.StartsWith("503", host.Ask("AUTH PLAIN"), StringComparison.Ordinal);
    }

    [Fact]
    public void LOGIN_asks_for_name_and_password()
    {
        var host = Ready();
        Assert.Equal("334 VXNlcm5hbWU6", host.Ask("AUTH LOGIN"));
        Assert.Equal("334 UGFzc3dvcmQ6", host.Ask(Encode("user")));
        Assert.StartsWith("235 2.7.0", host.Ask(Encode("pencil")), StringComparison.Ordinal);
        host = Ready();
        Assert.Equal("334 UGFzc3dvcmQ6", host.Ask("AUTH LOGIN " + Encode("user")));
    }

    [Theory]
    [InlineData("\0user\0wrong")]
    [InlineData("\0nobody\0pencil")]
    [InlineData("other\0user\0pencil")]
    [InlineData("user pencil")]
    [InlineData("\0user\0")]
    public void A_wrong_proof_is_535(string response) =>
        Assert.StartsWith("535 5.7.8", Ready().Ask("AUTH PLAIN " + Encode(response)), StringComparison.Ordinal);

    [Fact]
    public void Cancelling_junk_and_unknown_mechanisms_have_their_replies()
    {
        var host = Ready().Line("AUTH PLAIN");
        Assert.StartsWith("501 5.7.0", host.Ask("*"), StringComparison.Ordinal);
        host.Line("AUTH PLAIN");
        Assert.StartsWith("501 5.5.2", host.Ask("!!!"), StringComparison.Ordinal);
        Assert.StartsWith("504 5.5.4", host.Ask("AUTH CRAM-MD5"), StringComparison.Ordinal);
        Assert.StartsWith("250", host.Ask("NOOP"), StringComparison.Ordinal);
    }

    [Fact]
    public void The_third_failure_is_421()
    {
        var host = Ready();
        var wrong = "AUTH PLAIN " + Encode("\0user\0wrong");
        Assert.StartsWith("535", host.Ask(wrong), StringComparison.Ordinal);
        Assert.StartsWith("535", host.Ask(wrong), StringComparison.Ordinal);
        Assert.StartsWith("421 4.7.0", host.Ask(wrong), StringComparison.Ordinal);
        Assert.True(host.IsClosed);
    }

    [Fact]
    public void AUTH_in_a_transaction_is_503()
    {
        var host = Ready().Line("AUTH PLAIN " + Encode("\0user\0pencil"), "MAIL FROM:<a@b>");
        Assert.StartsWith("503", host.Ask("AUTH PLAIN"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("pencil", true)]
    [InlineData("pen", false)]
    public void SCRAM_proves_the_password_both_ways(string password, bool isRight)
    {
        var host = Ready();
        Assert.Equal("334", host.Ask("AUTH SCRAM-SHA-256"));
        var first = Encoding.UTF8.GetString(Convert.FromBase64String(host.Ask(Encode("n,,n=user,r=clientnonce"))[4..]));
        Assert.Equal($"r=clientnonceservernonce,s={Convert.ToBase64String("0123456789abcdef"u8)},i=4096", first);
        var final = "c=biws,r=clientnonceservernonce";
        var exchange = Encoding.UTF8.GetBytes($"n=user,r=clientnonce,{first},{final}");
        var salted = Rfc2898DeriveBytes.Pbkdf2(password, "0123456789abcdef"u8, 4096, HashAlgorithmName.SHA256, 32);
        var clientKey = HMACSHA256.HashData(salted, "Client Key"u8);
        var signature = HMACSHA256.HashData(SHA256.HashData(clientKey), exchange);
        var proof = clientKey.Zip(signature, (a, b) => (byte)(a ^ b)).ToArray();
        var answer = host.Ask(Encode($"{final},p={Convert.ToBase64String(proof)}"));
        Assert.Equal(!isRight, host.Steps.Contains("delay"));
        if (!isRight)
        {
            Assert.StartsWith("535 5.7.8", answer, StringComparison.Ordinal);
            return;
        }

        var serverSignature = HMACSHA256.HashData(HMACSHA256.HashData(salted, "Server Key"u8), exchange);
        Assert.Equal("v=" + Convert.ToBase64String(serverSignature), Encoding.UTF8.GetString(Convert.FromBase64String(answer[4..])));
        Assert.StartsWith("235 2.7.0", host.Ask(string.Empty), StringComparison.Ordinal);
        Assert.Equal("user", host.Session.User);
    }

    [Fact]
    public void SCRAM_agrees_with_the_example_of_RFC_7677()
    {
        var hash = PasswordHash.Create("pencil", Convert.FromBase64String("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096);
        var scram = new ScramExchange();
        Assert.True(scram.TryReadFirst("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"u8));
        var first = scram.Challenge(hash, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"u8);
        Assert.Equal("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", Encoding.ASCII.GetString(first));
        var final = scram.Finish("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="u8);
        Assert.NotNull(final);
        Assert.Equal("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", Encoding.ASCII.GetString(final));
    }

    [Fact]
    public void A_hash_round_trips_and_a_decoy_fits_nothing_but_is_steady()
    {
        Assert.True(PasswordHash.TryParse(Hash.ToString(), out var read));
        Assert.True(read!.Verify("pencil"));
        Assert.False(read.Verify("Pencil"));
        Assert.False(PasswordHash.TryParse("pencil", out _));
        Assert.False(PasswordHash.TryParse("scram-sha-256$1$AAAA$AAAA$AAAA", out _));
        var decoy = PasswordHash.CreateDecoy("nobody", "secret"u8);
        Assert.Equal(decoy.ToString(), PasswordHash.CreateDecoy("nobody", "secret"u8).ToString());
        Assert.NotEqual(decoy.ToString(), PasswordHash.CreateDecoy("somebody", "secret"u8).ToString());
    }

    [Fact]
    public void A_submission_gets_the_fields_that_it_lacks()
    {
        var host = Ready().Line("AUTH PLAIN " + Encode("\0user\0pencil"));
        Assert.Contains("\r\nSubject: x\r\nDate: Mon, 23 Nov 2026 01:02:03 +0000\r\nMessage-ID: <0000000004000001@mx.test>\r\n\r\nbody\r\n",
            Send("Subject: x", "", "body"), StringComparison.Ordinal);
        Assert.Contains("with ESMTPSA id", host.Messages[^1].Body, StringComparison.Ordinal);
        Assert.EndsWith("\r\nDate: x\r\nMESSAGE-ID: y\r\n\r\nbody\r\n", Send("Date: x", "MESSAGE-ID: y", "", "body"), StringComparison.Ordinal);
        Assert.EndsWith("\r\nDate: x\r\nMessage-ID: <0000000004000003@mx.test>\r\n", Send("Date: x"), StringComparison.Ordinal);

        string Send(params string[] lines)
        {
            host.Line("MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA").Line(lines).Line(".");
            return host.Messages[^1].Body;
        }
    }
}
