@echo off
rem Go programs end before their first line on Windows older than 10, so this
rem file looks at the version and says it in their place.
chcp 65001 >nul
reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v CurrentMajorVersionNumber >nul 2>nul
if errorlevel 1 goto old
set TRAMPC=windows-386
if /i "%PROCESSOR_ARCHITECTURE%"=="AMD64" set TRAMPC=windows-amd64
if /i "%PROCESSOR_ARCHITEW6432%"=="AMD64" set TRAMPC=windows-amd64
if not exist "%~dp0%TRAMPC%\tram-setup.exe" set TRAMPC=windows-386
"%~dp0%TRAMPC%\tram-setup.exe" install --kit "%~dp0." %*
set TRAMRC=%errorlevel%
pause
exit /b %TRAMRC%
:old
echo Windows của máy này cũ hơn Windows 10 nên không cài Tram được.
echo Cách làm: cài Tram lên một máy khác có Windows 10 trở lên, rồi chia sẻ
echo một thư mục của máy này để máy kia nhận tệp từ đó.
echo.
echo This PC's Windows is older than Windows 10; Tram cannot run on it.
echo Way out: install Tram on another PC with Windows 10 or later, and share
echo a folder of this PC as the drop folder which that PC reads.
pause
exit /b 1
