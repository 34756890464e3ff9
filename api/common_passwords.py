"""Passwords, and words of them, that guessers try first: heads of lists from published leaks.

Short: whoever guesses gets a handful of tries before an account is locked (api.lockout), so what
matters is the very first of such lists. `api.password_policy` strips decoration before it looks.
"""

_LISTED = """
password passwort motdepasse contrasena contraseña senha parola lozinka heslo salasana
wachtwoord passw0rd passwordpassword mypassword newpassword password123 password1234
password12345 password123456 passphrase letmein letmeinnow welcome welcometo welcomehome
willkommen bienvenue qwerty qwertyuiop qwerty123 qwerty1234 qwerty12345 qwerty123456
qwertyqwerty qwertzuiop azerty azertyuiop asdfghjkl asdfghjkl1 zxcvbnm zxcvbnm123 1q2w3e4r
1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx 1qaz2wsx3edc q1w2e3r4 q1w2e3r4t5 q1w2e3r4t5y6 zaq12wsx zaq1zaq1
qazwsxedc qazwsxedcrfv qweasdzxc qweasdzxc123 qwe123qwe123 asd123asd123 1234qwer 1234qwerasdf
123qweasd 123qweasdzxc 12345qwert 123456qwerty 12345678910 123456789a 123456789q a123456789
aa123456789 1234567890a abc123abc123 abcd1234 abcdef123456 abcdefg123 abcdefgh abc1234567
123456abcdef 1a2b3c4d5e admin administrator adminadmin admin123 admin1234 admin12345 admin123456
root rootroot toor superuser sysadmin changeme changemenow changeit changethis default secret
secretsecret topsecret verysecret letmesee guest guestguest testtest testing testing123
testtesttest test1234 test12345 test123456 demo demodemo master masterkey masterpassword access
accessdenied login loginlogin iloveyou iloveyou2 iloveyou123 iloveyouforever iloveu ilovegod
ilovejesus iloveme lovelove lovelovelove loveyou loveyouforever tequiero teamo jetaime
ichliebedich princess princess123 sunshine sunshine123 football football123 baseball basketball
superman superman123 batman batman123 spiderman ironman starwars starwars123 pokemon pokemon123
dragon dragonball dragon123 dragonballz monkey monkey123 shadow shadow123 michael michael123
jennifer jordan23 charlie charlie123 computer computer123 internet internet123 whatever
whatever123 trustno1 trustnoone freedom freedom123 liverpool liverpoolfc liverpool123 chelsea
chelseafc arsenal arsenalfc manchester manchesterunited barcelona fcbarcelona realmadrid
juventus bayernmunich corvette mustang mustang123 ferrari mercedes porsche harleydavidson yamaha
samsung samsung123 google google123 facebook facebook123 microsoft windows windows123 linkedin
linkedin123 instagram youtube gmail hotmail yahoo apple iphone android nintendo playstation
minecraft minecraft123 fortnite counterstrike warcraft worldofwarcraft leagueoflegends blink182
slipknot metallica nirvana eminem rockyou rockyou123 killer killer123 fuckyou fuckyou123
fuckyou1 fuckoff blahblah blahblahblah nothing nopassword nopass none unknown undefined nullnull
hello hello123 hellohello helloworld helloworld123 hello1234 goodmorning goodbye summer winter
spring autumn sommer january february march april august september october november december
monday friday saturday sunday alexander alexandra christopher elizabeth stephanie nicholas
jonathan veronica samantha victoria benjamin isabella sebastian valentina francisco fernando
angelica gabriela jesus jesuschrist godisgood godislove blessed heaven angel angels butterfly
chocolate cheese cookie cookies flower flowers rainbow diamond forever forever21 family friends
bestfriend happyday happiness beautiful sweetheart babygirl babygirl1 babyboy lovely cutie honey
sugar pepper ginger correcthorsebatterystaple correcthorse thisismypassword thisisapassword
thisissecret donttellanyone opensesame swordfish abracadabra hunter2 ncc1701 ncc1701d
thx1138 p@ssw0rd p@ssword pa$$word pa$$w0rd pass1234 pass12345 pass123456 passpass passpasspass
passw0rd1 transcribe transcription transcript rayscribe rayscriberayscribe opentranscribe
whisper
"""

COMMON = frozenset(_LISTED.split())
